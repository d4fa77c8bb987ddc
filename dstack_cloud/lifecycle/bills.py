"""The bill of a run, attempt by attempt, from what is on record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from dstack_cloud import transfer
from dstack_cloud.clouds.base import Machine
from dstack_cloud.cost import NOTHING, Cost, Interval, Rates, cost_of, total
from dstack_cloud.lifecycle.machine_record import machine_from_json
from dstack_cloud.rates import rates
from dstack_cloud.state.history import AttemptRecord, attempts_of
from dstack_cloud.state.runs import RunState
from dstack_cloud.storage.base import Store
from dstack_cloud.units import parse_time, utc_now

Moves = Callable[[Machine, datetime, datetime], Sequence[tuple[datetime, Decimal]]]
"""The spot prices in force for a machine between two moments, oldest first; none if not known."""


@dataclass(frozen=True)
class AttemptBill:
    """One attempt: asked for at ``asked_at``, on the bill from ``started_at`` to ``ended_at``.

    ``machine`` and ``started_at`` are None where no machine was had: that costs nothing.
    ``ended_at`` is None while it lasts; ``reason`` says how it ended. ``regions`` and ``planned``
    (machine types) are what was asked for. ``late`` is how many machines came when this one was
    there already, and were ended at once: they are in ``cost``.
    """

    number: int
    asked_at: datetime
    machine: Machine | None
    started_at: datetime | None
    ended_at: datetime | None
    reason: str | None
    cost: Cost
    regions: tuple[str, ...] = ()
    planned: tuple[str, ...] = ()
    late: int = 0


@dataclass(frozen=True)
class RunBill:
    """A run's attempts and their sum."""

    run: str
    workflow: str
    state: RunState
    attempts: tuple[AttemptBill, ...]

    @property
    def cost(self) -> Cost:
        return total(attempt.cost for attempt in self.attempts)


def machine_rates(machine: Machine) -> Rates:
    """USD an hour of a machine's parts, at the price it was launched for."""
    where = (machine.cloud, machine.region)
    return rates(*where, machine.price, machine.disk, machine.public, machine.spot)


def moved(machine: Machine, said: Mapping[str, Any]) -> Decimal | None:
    """USD for what the product has moved out of regions for a machine, by its agent's word.

    ``said`` is ``end.json``, or else ``status.json``: bytes to and from the store, and of the log,
    which is taken to have been followed once. None where a price is not known; an agent that never
    said anything has moved nothing.
    """
    traffic = said.get("traffic") or {}
    here = transfer.Place(machine.cloud, machine.region)
    store = transfer.Place(machine.cloud, str(traffic.get("region") or machine.region))
    parts = (
        transfer.cost(int(traffic.get("sent") or 0), transfer.price(here, store)),
        transfer.cost(int(traffic.get("received") or 0), transfer.price(store, here)),
        transfer.cost(int(said.get("log_bytes") or 0), transfer.price(here, None)),
    )
    return None if None in parts else sum(filter(None, parts), Decimal(0))


def attempt_cost(
    machine: Machine,
    ended: datetime | None,
    said: Mapping[str, Any],
    moves: Sequence[tuple[datetime, Decimal]] = (),
) -> Cost:
    """The bill of an attempt's machines from their launch to their ends, or to now; ``said`` as in
    `moved`. A node that its agent told of ended when that says."""
    told = {int(one["node"]): one for one in said.get("nodes") or ()}
    intervals = []
    for number, node in enumerate(machine.nodes):
        if node.launched_at is None:
            return Cost(None, None)
        words = told.get(number, {}) if number else said
        at = words.get("ended_at") if number else None
        until = parse_time(str(at)) if at else ended or utc_now()
        intervals.append(
            Interval(
                node.cloud,
                node.launched_at,
                max(until, node.launched_at),
                machine_rates(node),
                rates(node.cloud, node.region, node.on_demand, node.disk, node.public),
                tuple(moves),
                moved(node, words),
            )
        )
    return cost_of(intervals)


def bill_of(
    run: str,
    workflow: str,
    state: RunState,
    records: Sequence[AttemptRecord],
    moves: Moves | None = None,
) -> RunBill:
    """The bill in a run's attempt records. Pure but for ``moves`` and, while it runs, the clock."""
    return RunBill(run, workflow, state, tuple(_attempt(record, moves) for record in records))


def run_cost(store: Store, run: str) -> Cost:
    """What a run's attempts have cost so far, all together."""
    return total(_attempt(record, None).cost for record in attempts_of(store, run))


def _attempt(record: AttemptRecord, moves: Moves | None) -> AttemptBill:
    end, status = record.end or {}, record.status or {}
    ended = ended_at(end)
    machine, started = None, None
    # One that was used after all is on record twice.
    used = (record.machine or {}).get("id")
    late = [one for one in record.late if one["id"] != used]
    costs = [_late(one) for one in late]
    brought = record.intent.get("brought", "0")
    if brought != "0":
        costs.append(_brought(None if brought is None else Decimal(brought)))
    if record.machine is not None:
        machine, _ = machine_from_json(record.machine)
        started = machine.launched_at
        said = end if "traffic" in end else status
        prices: Sequence[tuple[datetime, Decimal]] = _told_prices(machine, said)
        if moves is not None and machine.spot and started is not None:
            prices = moves(machine, started, ended or utc_now()) or prices
        costs.append(attempt_cost(machine, ended, said, prices))
    return AttemptBill(
        number=record.number,
        asked_at=parse_time(str(record.intent["at"])),
        machine=machine,
        started_at=started,
        ended_at=ended,
        reason=str(end["reason"]) if end else None,
        cost=total(costs) if costs else NOTHING,
        regions=tuple(record.intent.get("regions") or ()),
        planned=tuple(record.intent.get("machines") or ()),
        late=len(late),
    )


def ended_at(end: Mapping[str, Any]) -> datetime | None:
    """When the machine of an ended attempt went off the bill: before its end was told, where
    nobody was there to see it; None for one that has not ended."""
    told = end.get("machine_ended_at") or end.get("ended_at")
    return parse_time(str(told)) if told else None


def _brought(amount: Decimal | None) -> Cost:
    """The bill of what was carried over from another cloud's store before the launch."""
    free = Decimal(0)
    return Cost(amount, amount, free, free, free, amount)


def _late(document: Mapping[str, Any]) -> Cost:
    machine, _ = machine_from_json(document)
    return attempt_cost(machine, machine.ended_at, {})


def _told_prices(machine: Machine, said: Mapping[str, Any]) -> list[tuple[datetime, Decimal]]:
    """The spot prices that the agent has read meanwhile."""
    if not machine.spot:
        return []
    return [(parse_time(str(at)), Decimal(price)) for at, price in said.get("prices") or ()]
