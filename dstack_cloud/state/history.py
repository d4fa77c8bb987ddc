"""All attempts of runs as they are on record: what they cost is read from them alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from dstack_cloud.state import documents, keys
from dstack_cloud.state.documents import Document, together
from dstack_cloud.storage.base import Store


@dataclass(frozen=True)
class AttemptRecord:
    """One attempt's documents, None where they are not written. ``status`` is read of an attempt
    only whose end its agent has not told; ``late`` are machines that nobody used."""

    number: int
    intent: Document
    machine: Document | None
    end: Document | None
    status: Document | None = None
    late: tuple[Document, ...] = ()


def attempts_of(store: Store, run: str) -> list[AttemptRecord]:
    """The run's attempts, the first first."""
    return attempts_of_all(store, [run])[run]


def attempts_of_all(store: Store, runs: Iterable[str]) -> dict[str, list[AttemptRecord]]:
    """The attempts of many runs, read side by side: four objects an attempt, and one more a run
    that tells that there is no other."""
    found: dict[str, list[AttemptRecord]] = {run: [] for run in runs}
    left, number = list(found), 1
    while left:
        intents = together(lambda key: documents.read(store, key), _keys(keys.intent, left, number))
        claimed = [(run, intent) for run, intent in zip(left, intents, strict=True) if intent]
        left = [run for run, _ in claimed]
        names = (keys.machine, keys.end, keys.late)
        wanted = [key for name in names for key in _keys(name, left, number)]
        read = together(lambda key: documents.read(store, key), wanted)
        parts = (read[at * len(left) : (at + 1) * len(left)] for at in range(len(names)))
        for (run, intent), machine, end, late in zip(claimed, *parts, strict=True):
            extra = tuple(late["machines"]) if late else ()
            found[run].append(AttemptRecord(number, intent, machine, end, None, extra))
        number += 1
    _add_status(store, found)
    return found


def _add_status(store: Store, found: dict[str, list[AttemptRecord]]) -> None:
    """The last word of agents that have not told an end: whose machines run, or were lost."""
    silent = [
        (run, at)
        for run, records in found.items()
        for at, one in enumerate(records)
        if one.machine is not None and "traffic" not in (one.end or {})
    ]
    read = together(
        lambda place: documents.read(
            store, keys.status(place[0], found[place[0]][place[1]].number)
        ),
        silent,
    )
    for (run, at), status in zip(silent, read, strict=True):
        found[run][at] = replace(found[run][at], status=status)


def _keys(name: Callable[[str, int], str], runs: Iterable[str], number: int) -> list[str]:
    return [name(run, number) for run in runs]
