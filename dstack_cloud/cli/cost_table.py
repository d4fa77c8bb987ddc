"""Bills as tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from dstack_cloud.cli import render
from dstack_cloud.cost import Cost, total
from dstack_cloud.lifecycle.bills import AttemptBill, RunBill
from dstack_cloud.units import format_duration, format_time, utc_now

_MONEY = ("machine $", "disk $", "address $", "transfer $", "cost $", "on demand $", "saves")


def print_runs(bills: Sequence[RunBill]) -> None:
    """A row a run, and their sum."""
    if not bills:
        render.say("no runs")
        return
    render.print_table(
        ("run", "workflow", "state", "attempts", *_MONEY),
        [
            (bill.run, bill.workflow, str(bill.state), str(len(bill.attempts)), *_money(bill.cost))
            for bill in bills
        ],
        right="   rrrrrrrr",
    )
    _print_total(bills)


def print_attempts(bills: Sequence[RunBill]) -> None:
    """A row an attempt, and the sum."""
    header = ("run", "attempt", "machine", "zone", "market", "from", "for", *_MONEY, "end")
    rows = [(bill.run, *_attempt_cells(attempt)) for bill in bills for attempt in bill.attempts]
    render.print_table(header, rows, right=" r    rrrrrrrr")
    _print_total(bills)


def bills_as_json(bills: Sequence[RunBill]) -> dict[str, Any]:
    """The JSON document: USD as decimal strings, null where not known.

    ``total`` is of the runs whose cost is known; ``unknown`` is how many others there are.
    """
    known = _known(bills)
    return {
        "runs": [
            {
                "run": bill.run,
                "workflow": bill.workflow,
                "state": str(bill.state),
                **_cost_as_json(bill.cost),
                "attempts": [_attempt_as_json(attempt) for attempt in bill.attempts],
            }
            for bill in bills
        ],
        "total": {
            **_cost_as_json(total(bill.cost for bill in known)),
            "unknown": len(bills) - len(known),
        },
    }


def _print_total(bills: Sequence[RunBill]) -> None:
    known = _known(bills)
    spent = total(bill.cost for bill in known)
    words = f"{len(known)} run{'' if len(known) == 1 else 's'}: {_usd(spent.cost)} $"
    if spent.on_demand is not None:
        words += f", on demand {_usd(spent.on_demand)} $"
    if spent.saving is not None and spent.saving > 0:
        words += f": {spent.saving * 100:.0f} % saved"
    if len(known) < len(bills):
        words += f"; {len(bills) - len(known)} more of unknown cost"
    print(words)


def _known(bills: Sequence[RunBill]) -> list[RunBill]:
    return [bill for bill in bills if bill.cost.cost is not None]


def _attempt_cells(attempt: AttemptBill) -> tuple[str, ...]:
    machine = attempt.machine
    if machine is None or attempt.started_at is None:
        place: tuple[str, ...] = ("none had", "", "", f"{attempt.asked_at:%Y-%m-%d %H:%M}Z", "")
    else:
        place = (
            machine.machine,
            machine.zone or machine.region,
            "spot" if machine.spot else "on demand",
            f"{attempt.started_at:%Y-%m-%d %H:%M}Z",
            format_duration(_seconds(attempt)),
        )
    end = attempt.reason or ("" if attempt.ended_at else "runs")
    if attempt.late:
        end += f", {attempt.late} late machine{'' if attempt.late == 1 else 's'} ended at once"
    return (str(attempt.number), *place, *_money(attempt.cost), end)


def _seconds(attempt: AttemptBill) -> float:
    assert attempt.started_at is not None
    return max(((attempt.ended_at or utc_now()) - attempt.started_at).total_seconds(), 0)


def _money(cost: Cost) -> tuple[str, ...]:
    saving = cost.saving
    return (
        _usd(cost.machine),
        _usd(cost.disk),
        _usd(cost.address),
        _usd(cost.transfer),
        _usd(cost.cost),
        _usd(cost.on_demand),
        "" if saving is None else f"{saving * 100:.0f} %",
    )


def _usd(amount: Decimal | None) -> str:
    return "unknown" if amount is None else f"{amount:.4f}"


def _attempt_as_json(attempt: AttemptBill) -> dict[str, Any]:
    machine = attempt.machine
    return {
        "attempt": attempt.number,
        "machine": machine.machine if machine else None,
        "region": machine.region if machine else None,
        "zone": machine.zone if machine else None,
        "spot": machine.spot if machine else None,
        "price": _text(machine.price) if machine else None,
        "asked_at": format_time(attempt.asked_at),
        "started_at": format_time(attempt.started_at) if attempt.started_at else None,
        "ended_at": format_time(attempt.ended_at) if attempt.ended_at else None,
        "reason": attempt.reason,
        "late_machines": attempt.late,
        **_cost_as_json(attempt.cost),
    }


def _cost_as_json(cost: Cost) -> dict[str, Any]:
    saving = cost.saving
    return {
        "cost": _text(cost.cost),
        "on_demand_cost": _text(cost.on_demand),
        "saving": None if saving is None else f"{saving:.4f}",
        "parts": {
            "machine": _text(cost.machine),
            "disk": _text(cost.disk),
            "address": _text(cost.address),
            "transfer": _text(cost.transfer),
        },
    }


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"
