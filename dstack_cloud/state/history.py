"""All attempts of a run as they are on record: what it costs is read from them alone."""

from __future__ import annotations

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
    """The run's attempts, the first first: three reads each, made together, and one more."""
    found: list[AttemptRecord] = []
    while True:
        number = len(found) + 1
        names = [key(run, number) for key in (keys.intent, keys.machine, keys.end)]
        intent, machine, end = together(lambda key: documents.read(store, key), names)
        if intent is None:
            return found
        found.append(AttemptRecord(number, intent, machine, end))
