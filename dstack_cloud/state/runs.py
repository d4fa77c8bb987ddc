"""Runs: claimed, indexed by state, found again.

The record of a run never changes; its state is where its name stands in the index. A move writes
the new place before it clears the old one, so a client that dies on the way leaves two, of which
`settled` picks the true one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from dstack_cloud.errors import NotFoundError
from dstack_cloud.nearest import did_you_mean, nearest
from dstack_cloud.state import documents, keys
from dstack_cloud.state.documents import Document, together
from dstack_cloud.storage.base import Store
from dstack_cloud.units import utc_now


class RunState(StrEnum):
    """Where a run is, in the order of its life."""

    SUBMITTED = "submitted"
    LAUNCHING = "launching"
    RUNNING = "running"
    RECOVERING = "recovering"
    STOPPING = "stopping"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    LOST = "lost"

    @property
    def final(self) -> bool:
        return self in _FINAL


DELETED = "deleted"
"""Where the index keeps the names of deleted runs."""
_FINAL = (RunState.DONE, RunState.FAILED, RunState.STOPPED, RunState.LOST)
_ORDER = {state: number for number, state in enumerate(RunState)}


@dataclass(frozen=True)
class RunRow:
    """One run in a listing. ``since`` is when it came into its state; ``record`` is read for
    live runs only, and only when asked for."""

    run: str
    state: RunState
    since: datetime | None
    record: Document | None = None

    @property
    def workflow(self) -> str:
        return self.run.rpartition("-")[0]

    @property
    def number(self) -> int:
        return _number(self.run)


def submit(store: Store, workflow: str, record: Callable[[str], Mapping[str, Any]]) -> str:
    """Claim the workflow's next number and write the run's record; the run's name.

    ``record`` makes the record for a name. Adds ``run``, ``workflow``, ``submitted_at`` and
    ``claim`` to it. Safe among any number of processes: a name is created once.
    """
    prefix = f"{workflow}-"
    taken = together(lambda state: _names(store, state, prefix), [*RunState, DELETED])
    number = max(
        (_number(name) for names in taken for name in names if _is(name, workflow)), default=0
    )
    added = {
        "workflow": workflow,
        "submitted_at": utc_now(),
        # Makes the record like no other, so that a store that lost our answer can tell it is ours.
        "claim": os.urandom(8).hex(),
    }
    while True:
        number += 1
        name = f"{workflow}-{number}"
        if store.create(keys.run(name), documents.encode({**record(name), "run": name, **added})):
            move(store, name, None, RunState.SUBMITTED)
            return name


def move(store: Store, run: str, old: RunState | None, new: RunState) -> None:
    """From ``old`` (None: from nowhere) to ``new``. Doing it again changes nothing."""
    store.put(keys.index(new, run), b"")
    if old is not None and old != new:
        store.delete([keys.index(old, run)])


def settle(store: Store, run: str, state: RunState) -> None:
    """To ``state``, from wherever it was."""
    store.put(keys.index(state, run), b"")
    store.delete([keys.index(other, run) for other in RunState if other != state])


def read_run(store: Store, run: str) -> Document:
    """The run's record. NotFoundError, with names that are alike, if there is no such run."""
    record = documents.read(store, keys.run(run)) if _is_name(run) else None
    if record is None:
        raise _not_found(store, run)
    return record


def find_run(store: Store, run: str) -> RunRow:
    """The run and its state. NotFoundError, with names that are alike."""
    if not _is_name(run):
        raise _not_found(store, run)
    row = settled(
        row
        for found in together(lambda state: _rows(store, state, run, only=run), RunState)
        for row in found
    ).get(run)
    if row is None:
        # Who claimed it died before indexing it; a record there is a run all the same.
        read_run(store, run)
        return RunRow(run, RunState.SUBMITTED, None)
    return row


def listing(
    store: Store, states: Collection[RunState] | None = None, *, records: bool = False
) -> list[RunRow]:
    """All runs (in ``states``, if given), the latest first.

    One LIST a state and page of 1,000 runs, at the same time; with ``records``, one GET for each
    live run besides.
    """
    found = together(lambda state: _rows(store, state), RunState)
    rows = settled(row for rows in found for row in rows).values()
    wanted = [row for row in rows if states is None or row.state in states]
    if records:
        live = [row for row in wanted if not row.state.final]
        read = together(lambda row: documents.read(store, keys.run(row.run)), live)
        known = {row.run: record for row, record in zip(live, read, strict=True)}
        wanted = [replace(row, record=known.get(row.run)) for row in wanted]
    return sorted(wanted, key=_recent, reverse=True)


def tidy(store: Store) -> None:
    """Clear the places of runs that have ended somewhere else: what interrupted moves left."""
    rows = [row for found in together(lambda state: _rows(store, state), RunState) for row in found]
    truth = settled(rows)
    stale = [
        keys.index(row.state, row.run)
        for row in rows
        if truth[row.run].state.final and row.state != truth[row.run].state
    ]
    if stale:
        store.delete(stale)


def settled(rows: Iterable[RunRow]) -> dict[str, RunRow]:
    """One row a run, of those that an interrupted move left: pure.

    An end outweighs what is live, and a told end outweighs `lost`, which is only inferred.
    Among live states the latest counts; within the same second, the later in a run's life.
    """
    best: dict[str, RunRow] = {}
    for row in rows:
        present = best.get(row.run)
        if present is None or _weight(row) > _weight(present):
            best[row.run] = row
    return best


def _weight(row: RunRow) -> tuple[int, float, int]:
    since = row.since.timestamp() if row.since else 0.0
    if row.state.final:
        return (1 if row.state is RunState.LOST else 2, since, _ORDER[row.state])
    return (0, since, _ORDER[row.state])


def _recent(row: RunRow) -> tuple[float, str, int]:
    return (row.since.timestamp() if row.since else 0.0, row.workflow, row.number)


def _rows(store: Store, state: RunState, prefix: str = "", only: str | None = None) -> list[RunRow]:
    start = keys.index(state)
    rows = []
    for item in store.list(f"{start}{prefix}"):
        name = item.key[len(start) :]
        if only is not None and name != only:
            break  # the exact name sorts first
        rows.append(RunRow(name, state, item.modified))
    return rows


def _names(store: Store, state: str, prefix: str) -> list[str]:
    start = keys.index(state)
    return [item.key[len(start) :] for item in store.list(f"{start}{prefix}")]


def _number(run: str) -> int:
    digits = run.rpartition("-")[2]
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def _is(run: str, workflow: str) -> bool:
    return run.rpartition("-")[0] == workflow and _number(run) > 0


def _is_name(run: str) -> bool:
    """Whether it can be a run's name at all (and not, say, a path)."""
    return _number(run) > 0 and "/" not in run and not run.startswith(".")


def _not_found(store: Store, run: str) -> NotFoundError:
    names = [row.run for row in listing(store)]
    close = nearest(run, names)
    hint = f"runs like it: {', '.join(close)}" if close else "`dstack-cloud ps --all` lists them"
    return NotFoundError(f"there is no run '{run}'{did_you_mean(run, names)}", hint)
