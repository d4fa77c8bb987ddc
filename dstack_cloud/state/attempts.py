"""Attempts of a run: who owns one, its machine, and how it ended."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dstack_cloud.state import documents, keys
from dstack_cloud.state.documents import Document, together
from dstack_cloud.storage.base import Store
from dstack_cloud.units import utc_now

# Attempts are looked for this many at a time: nearly every run has fewer.
_PROBES = 3


def claim_attempt(store: Store, run: str, number: int, intent: Mapping[str, Any]) -> bool:
    """Write the attempt's intent; False when another client has claimed it.

    Attempt ``n`` is fenced by its end, which whoever takes over from a lost machine writes first.
    """
    document = {**intent, "claimed_at": utc_now(), "claim": os.urandom(8).hex()}
    return store.create(keys.intent(run, number), documents.encode(document))


def latest_attempt(store: Store, run: str) -> int:
    """The highest attempt that was claimed, from 1; 0 if none was."""
    first = 1
    while True:
        numbers = range(first, first + _PROBES)
        claimed = together(lambda number: store.get(keys.intent(run, number)), numbers)
        for number, intent in zip(numbers, claimed, strict=True):
            if intent is None:
                return number - 1
        first += _PROBES


def record_machine(
    store: Store, run: str, number: int, machine: Mapping[str, Any], node: int = 0
) -> None:
    """What was launched for the attempt, with its public host key."""
    store.put(keys.machine(run, number, node), documents.encode(machine))


def record_failure(store: Store, run: str, number: int, failure: Mapping[str, Any]) -> bool:
    """Tell an attempt's other nodes that one of them has failed; False when that is told."""
    return store.create(keys.failure(run, number), documents.encode(failure))


def record_late(store: Store, run: str, number: int, machine: Mapping[str, Any]) -> None:
    """A machine of the attempt that nobody used, with its ``ended_at``: it is on the bill."""
    key = keys.late(run, number)
    known = documents.read(store, key) or {"machines": []}
    store.put(key, documents.encode({"machines": [*known["machines"], machine]}))


def read_intent(store: Store, run: str, number: int) -> Document | None:
    """None when nobody has claimed the attempt."""
    return documents.read(store, keys.intent(run, number))


def read_machine(store: Store, run: str, number: int, node: int = 0) -> Document | None:
    """None when no machine was had (or its launcher died before writing it down)."""
    return documents.read(store, keys.machine(run, number, node))


def read_status(store: Store, run: str, number: int) -> Document | None:
    """The agent's last word while it works; None before its first."""
    return documents.read(store, keys.status(run, number))


def read_end(store: Store, run: str, number: int, node: int = 0) -> Document | None:
    """How the attempt (or one of its other nodes) ended; None while it has not."""
    return documents.read(store, keys.end(run, number, node))


def record_end(store: Store, run: str, number: int, end: Mapping[str, Any]) -> bool:
    """Write how the attempt ended; False when that is known already."""
    document = {"ended_at": utc_now(), **end}
    return store.create(keys.end(run, number), documents.encode(document))


def unended(store: Store, run: str, number: int) -> list[int]:
    """The attempts before ``number`` that have no end yet, the last first.

    Looked for back to one whose container started: it had waited for all before it.
    """
    found = []
    for earlier in range(number - 1, 0, -1):
        end = read_end(store, run, earlier)
        if end is None:
            found.append(earlier)
        elif end.get("container_started_at"):
            break
    return found
