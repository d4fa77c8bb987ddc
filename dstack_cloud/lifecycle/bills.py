"""The bill of a run, attempt by attempt, from what is on record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from dstack_cloud.clouds.base import Machine
from dstack_cloud.cost import Cost, Interval, Rates, cost_of, total
from dstack_cloud.lifecycle.machine_record import machine_from_json
from dstack_cloud.rates import rates
from dstack_cloud.state.history import AttemptRecord, attempts_of
from dstack_cloud.state.runs import RunState
from dstack_cloud.storage.base import Store
from dstack_cloud.units import parse_time, utc_now

_NOTHING = Cost(*[Decimal(0)] * 5)

Moves = Callable[[Machine, datetime, datetime], Sequence[tuple[datetime, Decimal]]]
"""The spot prices in force for a machine between two moments, oldest first; none if not known."""


@dataclass(frozen=True)
class AttemptBill:
    """One attempt: asked for at ``asked_at``, on the bill from ``started_at`` to ``ended_at``.

    ``machine`` and ``started_at`` are None where no machine was had: that costs nothing.
    ``ended_at`` is None while it lasts; ``reason`` says how it ended. ``regions`` and ``planned``
    (machine types) are what was asked for.
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


def attempt_cost(
    machine: Machine, end: Mapping[str, Any], moves: Sequence[tuple[datetime, Decimal]] = ()
) -> Cost:
    """The bill of a machine from its launch to its recorded end, or to now."""
    if machine.launched_at is None:
        return Cost(None, None)
    ended = parse_time(str(end["ended_at"])) if end.get("ended_at") else utc_now()
    interval = Interval(
        machine.cloud,
        machine.launched_at,
        max(ended, machine.launched_at),
        machine_rates(machine),
        machine.on_demand,
        tuple(moves),
    )
    return cost_of([interval])


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
    end = record.end or {}
    ended = parse_time(str(end["ended_at"])) if end.get("ended_at") else None
    machine, started, cost = None, None, _NOTHING
    if record.machine is not None:
        machine, _ = machine_from_json(record.machine)
        started = machine.launched_at
        prices: Sequence[tuple[datetime, Decimal]] = ()
        if moves is not None and machine.spot and started is not None:
            prices = moves(machine, started, ended or utc_now())
        cost = attempt_cost(machine, end, prices)
    return AttemptBill(
        number=record.number,
        asked_at=parse_time(str(record.intent["at"])),
        machine=machine,
        started_at=started,
        ended_at=ended,
        reason=str(end["reason"]) if end else None,
        cost=cost,
        regions=tuple(record.intent.get("regions") or ()),
        planned=tuple(record.intent.get("machines") or ()),
    )
