"""All attempts of runs as they are on record: what they cost is read from them alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dstack_cloud.state import documents, keys
from dstack_cloud.state.documents import Document, together
from dstack_cloud.storage.base import Store


@dataclass(frozen=True)
class AttemptRecord:
    """One attempt's documents; ``machine`` and ``end`` are None where they are not written."""

    number: int
    intent: Document
    machine: Document | None
    end: Document | None


def attempts_of(store: Store, run: str) -> list[AttemptRecord]:
    """The run's attempts, the first first."""
    return attempts_of_all(store, [run])[run]


def attempts_of_all(store: Store, runs: Iterable[str]) -> dict[str, list[AttemptRecord]]:
    """The attempts of many runs, read side by side: three objects an attempt, and one more a run
    that tells that there is no other."""
    found: dict[str, list[AttemptRecord]] = {run: [] for run in runs}
    left, number = list(found), 1
    while left:
        intents = together(lambda key: documents.read(store, key), _keys(keys.intent, left, number))
        claimed = [(run, intent) for run, intent in zip(left, intents, strict=True) if intent]
        left = [run for run, _ in claimed]
        wanted = [*_keys(keys.machine, left, number), *_keys(keys.end, left, number)]
        read = together(lambda key: documents.read(store, key), wanted)
        machines, ends = read[: len(left)], read[len(left) :]
        for (run, intent), machine, end in zip(claimed, machines, ends, strict=True):
            found[run].append(AttemptRecord(number, intent, machine, end))
        number += 1
    return found


def _keys(name: Callable[[str, int], str], runs: Iterable[str], number: int) -> list[str]:
    return [name(run, number) for run in runs]
