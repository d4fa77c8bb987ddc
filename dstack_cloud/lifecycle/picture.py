"""A run as a picture's facts: what prices did, and what the run did meanwhile. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from dstack_cloud.catalog.models import SpotChange
from dstack_cloud.lifecycle.bills import AttemptBill, RunBill

# More lines than that nobody can tell apart.
_MOST_SERIES = 8
# How an attempt ends that another cause than the run itself has ended.
_TAKEN = ("interrupted", "machine-lost", "fenced")


class Doing(StrEnum):
    """What a run is doing at a time."""

    WAITING = "waiting"
    SPOT = "spot"
    ON_DEMAND = "on demand"


@dataclass(frozen=True)
class Span:
    """What the run did from ``start`` to ``end``, in a few ``words``."""

    doing: Doing
    start: datetime
    end: datetime
    words: str


@dataclass(frozen=True)
class Series:
    """One line of prices; ``used`` says that the run had a machine there."""

    name: str
    used: bool
    points: tuple[tuple[datetime, Decimal], ...]

    @property
    def low(self) -> Decimal:
        return min(price for _, price in self.points)

    @property
    def high(self) -> Decimal:
        return max(price for _, price in self.points)

    def at(self, moment: datetime) -> Decimal | None:
        """The price in force at a moment; None before the first that is known."""
        known = [price for since, price in self.points if since <= moment]
        return known[-1] if known else None


@dataclass(frozen=True)
class Picture:
    """All that is to be drawn, between ``start`` and ``end``; ``taken`` are the moments at which
    a machine was taken away."""

    run: str
    start: datetime
    end: datetime
    spans: tuple[Span, ...]
    taken: tuple[datetime, ...]
    series: tuple[Series, ...]


def picture_of(
    bill: RunBill, submitted: datetime, now: datetime, changes: Iterable[SpotChange]
) -> Picture:
    """The picture of a run from its submission to its end, or to ``now``."""
    last = bill.attempts[-1] if bill.attempts else None
    end = (last.ended_at if last else None) or now
    start = min(submitted, end)
    spans: list[Span] = []
    since = start
    for attempt in bill.attempts:
        if attempt.started_at is None or attempt.machine is None:
            continue
        if attempt.started_at > since:
            spans.append(Span(Doing.WAITING, since, attempt.started_at, "waiting for a machine"))
        until = attempt.ended_at or now
        spans.append(_machine_span(attempt, attempt.started_at, max(until, attempt.started_at)))
        since = spans[-1].end
    if since < end:
        spans.append(Span(Doing.WAITING, since, end, "waiting for a machine"))
    taken = tuple(
        one.ended_at for one in bill.attempts if one.ended_at and (one.reason or "") in _TAKEN
    )
    return Picture(bill.run, start, end, tuple(spans), taken, _series(bill, changes, start, end))


def _machine_span(attempt: AttemptBill, start: datetime, end: datetime) -> Span:
    assert attempt.machine is not None
    machine = attempt.machine
    doing = Doing.SPOT if machine.spot else Doing.ON_DEMAND
    words = f"attempt {attempt.number}: {machine.machine} {machine.zone or machine.region}, {doing}"
    return Span(doing, start, end, f"{words}, {attempt.reason}" if attempt.reason else words)


def _series(
    bill: RunBill, changes: Iterable[SpotChange], start: datetime, end: datetime
) -> tuple[Series, ...]:
    used = {
        (attempt.machine.machine, attempt.machine.zone)
        for attempt in bill.attempts
        if attempt.machine and attempt.machine.spot
    }
    pools: dict[tuple[str, str], list[tuple[datetime, Decimal]]] = {}
    for change in sorted(changes, key=lambda one: one.since):
        if change.since <= end:
            pools.setdefault((change.machine, change.zone), []).append((change.since, change.price))
    found = [
        Series(f"{machine} {zone}", (machine, zone) in used, _from(points, start))
        for (machine, zone), points in pools.items()
    ]
    # Those that were used first, then the cheapest: what the run could have had instead.
    found.sort(key=lambda one: (not one.used, one.low, one.name))
    return tuple(found[:_MOST_SERIES])


def _from(
    points: Sequence[tuple[datetime, Decimal]], start: datetime
) -> tuple[tuple[datetime, Decimal], ...]:
    """The points from ``start`` on, the price in force there first."""
    before = [price for since, price in points if since <= start]
    after = tuple(point for point in points if point[0] > start)
    return ((start, before[-1]), *after) if before else after
