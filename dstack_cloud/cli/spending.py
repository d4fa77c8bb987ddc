"""Which runs are on the bill, and their bills: read from the stores, spot prices on request."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from dstack_cloud import today, wiring
from dstack_cloud.cli import render
from dstack_cloud.clouds.base import Machine
from dstack_cloud.config import Config
from dstack_cloud.lifecycle.bills import Moves, RunBill, bill_of
from dstack_cloud.lifecycle.machine_record import machine_from_json
from dstack_cloud.state.history import AttemptRecord, attempts_of_all
from dstack_cloud.state.runs import RunRow, find_run, listing, read_run
from dstack_cloud.tools_of_run import tools_of_run
from dstack_cloud.units import parse_time, utc_now

# The plan's types whose prices are asked for when a run is drawn: the first are what matters.
_PLANNED_DRAWN = 6


def read_bills(
    config: Config,
    runs: Sequence[str],
    workflow: str | None,
    since: datetime | None,
    *,
    follow: bool,
) -> list[RunBill]:
    """The bills of the named runs, in that order; of all that fit, oldest first, if none is named.

    With ``follow`` the spot prices that were in force are asked of the cloud; where they cannot be
    had, the recorded ones count. Raises NotFoundError for a run that is not there.
    """
    rows: list[tuple[RunRow, list[AttemptRecord]]] = []
    if runs:
        for run in runs:
            store = tools_of_run(config, run, render.QuietReporter()).store
            rows.append((find_run(store, run), attempts_of_all(store, [run])[run]))
    else:
        for name in wiring.configured(config):
            store = wiring.open_store_of(config, name)
            wanted = [row for row in reversed(listing(store)) if _fits(row, workflow, since)]
            read = attempts_of_all(store, [row.run for row in wanted])
            rows += [(row, read[row.run]) for row in wanted]
    moves = (
        _moves(config, [record for _, records in rows for record in records]) if follow else None
    )
    return [bill_of(row.run, row.workflow, row.state, records, moves) for row, records in rows]


def submitted_at(config: Config, run: str) -> datetime:
    """When the run was submitted. Raises NotFoundError."""
    store = tools_of_run(config, run, render.QuietReporter()).store
    return parse_time(str(read_run(store, run)["submitted_at"]))


def planned(bill: RunBill) -> dict[str, list[str]]:
    """The machine types to draw, by region: those that the run had, and its plan's first ones."""
    found: dict[str, list[str]] = {}
    for attempt in bill.attempts:
        machine = attempt.machine
        if machine is not None and machine.cloud in wiring.WITH_PRICE_HISTORY:
            found.setdefault(machine.region, []).append(machine.machine)
    for attempt in bill.attempts:
        for region in attempt.regions if found else ():
            found.setdefault(region, []).extend(attempt.planned[:_PLANNED_DRAWN])
    return {region: list(dict.fromkeys(types)) for region, types in found.items()}


def _fits(row: RunRow, workflow: str | None, since: datetime | None) -> bool:
    if workflow is not None and row.workflow != workflow:
        return False
    # An ended run's place in the index dates from its end; a live one is on the bill now.
    return since is None or not row.state.final or row.since is None or row.since >= since


def _moves(config: Config, records: Sequence[AttemptRecord]) -> Moves | None:
    """What spot prices did while these attempts had machines, one question a region."""
    spells = [spell for spell in map(_spell, records) if spell is not None]
    if not spells:
        return None
    types: dict[str, set[str]] = {}
    for machine, _, _ in spells:
        types.setdefault(machine.region, set()).add(machine.machine)
    asked = {region: sorted(names) for region, names in types.items()}
    start, end = min(start for _, start, _ in spells), max(end for _, _, end in spells)
    changes: dict[tuple[str, str | None], list[tuple[datetime, Decimal]]] = {}
    for change in today.spot_history(config, asked, start, end):
        pool = changes.setdefault((change.machine, change.zone), [])
        pool.append((change.since, change.price))

    def moves(machine: Machine, start: datetime, end: datetime) -> list[tuple[datetime, Decimal]]:
        return changes.get((machine.machine, machine.zone), [])

    return moves


def _spell(record: AttemptRecord) -> tuple[Machine, datetime, datetime] | None:
    """A spot machine whose cloud tells how prices moved, and from when to when it was on the bill;
    None for any other."""
    if record.machine is None:
        return None
    machine, _ = machine_from_json(record.machine)
    told = machine.cloud in wiring.WITH_PRICE_HISTORY
    if not told or not machine.spot or machine.launched_at is None:
        return None
    ended = (record.end or {}).get("ended_at")
    return machine, machine.launched_at, parse_time(str(ended)) if ended else utc_now()
