"""Keeping a run's deadline: asks the policy with what is on record and what was found on the way.

Decisions are made while a client looks for a machine, and while it follows one: nobody else can
launch what they call for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from dstack_cloud.availability import Seen
from dstack_cloud.clouds.base import Machine, Scope
from dstack_cloud.lifecycle.capacity import (
    Ask,
    GiveUp,
    Patience,
    Pending,
    Refusal,
    Step,
    Wait,
    ends,
    without,
)
from dstack_cloud.lifecycle.follow import Following
from dstack_cloud.lifecycle.market import (
    Market,
    choose,
    market_of,
    nothing_seen,
    with_machine,
    worth_asking,
)
from dstack_cloud.lifecycle.pace import Stretch, Terms, restart_time, stretch_of, work_left
from dstack_cloud.lifecycle.record import RunRecord
from dstack_cloud.lifecycle.seek import Decide
from dstack_cloud.resources import Offer
from dstack_cloud.state import attempts, shortages
from dstack_cloud.state.history import attempts_of
from dstack_cloud.storage.base import Store
from dstack_cloud.units import format_time, parse_time, utc_now

# How long a pool is taken to be short that has just taken a machine back.
_LOST_S = 300.0
# The agent's word comes every few seconds and whenever something changes: often enough for the
# decisions that are due, and no more of them than help.
_LOOK_S = 1.0
# The agent's phases after the container's end: there is nothing left to move.
_OVER = ("saving", "ending")


def terms_of(record: RunRecord, restart: int) -> Terms | None:
    """What a run's record asks for; None without a deadline."""
    if record.deadline is None or record.duration is None:
        return None
    due = parse_time(record.deadline) - parse_time(record.submitted_at)
    return Terms(round(due.total_seconds()), record.duration, restart)


class InTime:
    """One client's view of a run with a deadline."""

    def __init__(
        self, store: Store, record: RunRecord, terms: Terms, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._store = store
        self._record = record
        self._terms = terms
        self._now = now
        self._submitted_at = parse_time(record.submitted_at)
        self._seen: Seen = nothing_seen(terms)
        self._market: Market | None = None
        self._lost: list[tuple[Machine, float]] = []
        self._known: tuple[int, list[Stretch]] = (0, [])
        self._due = 0.0

    def lose(self, machine: Machine) -> None:
        """A machine was taken away, or is being left. One on demand says nothing of its pool."""
        if machine.spot:
            self._lost.append((machine, self._elapsed()))

    def search(self) -> Decide:
        """What to ask for next in a search that begins now, as `capacity.next_step`."""
        begun = self._elapsed()
        stretches = self._stretches(begun)
        known = [*self._recalled(), *(_gone(one, at - begun) for one, at in self._lost)]

        def step(
            offers: Sequence[Offer],
            refusals: Sequence[Refusal],
            waited: float,
            patience: Patience,
            pending: Sequence[Pending] = (),
        ) -> Step:
            if pending:
                return Wait(None)
            now = begun + waited
            every = [*((one, one.at + one.seconds) for one in known), *ends(refusals, patience)]
            over = [one for one, end in every if end > waited]
            left = _without(offers, over)
            market = market_of(offers, left)
            # What was refused may be back, which only asking tells: it counts as seen when it is.
            sure = _without(offers, [*known, *refusals])
            work, restart = work_left(self._terms, stretches, now), self._restart(stretches)
            choice = choose(self._terms, market, now, work, restart, self._seen)
            on_demand = [offer for offer in offers if not offer.spot]
            self._see(now, market_of(offers, [*sure, *on_demand]), None)
            asked = () if choice.kind == "wait" else worth_asking(choice.kind, left, market)
            if asked:
                return Ask(asked)
            soon = min((end for _, end in every if end > waited), default=None)
            if not left and (soon is None or soon > patience.until):
                return GiveUp()
            pause = (
                self._terms.interval if soon is None else min(soon - waited, self._terms.interval)
            )
            return Wait(pause, choice.why)

        return step

    def move(self, status: Mapping[str, Any], target: Following) -> str | None:
        """Why the run must leave the spot machine that it follows for one on demand, if it must.

        ``status`` is the agent's last word. Asked at each. A move that comes too late to help is
        not made: what runs may still be in time.
        """
        machine, clock = target.machine, time.monotonic()
        if not machine.spot or clock < self._due or status.get("phase") in _OVER:
            return None
        self._due = clock + _LOOK_S
        now = self._elapsed()
        market = with_machine(self._market, machine)
        launched = format_time(machine.launched_at) if machine.launched_at else None
        here = stretch_of({"launched_at": launched}, status, None, self._submitted_at)
        stretches = [*self._before(target.attempt, now), here]
        work, restart = work_left(self._terms, stretches, now), self._restart(stretches)
        left = 0.0
        if here.started is None:
            left = max(0.0, restart - (now - (here.launched or now)))
        elif now + restart + work > self._terms.deadline:
            return None
        choice = choose(self._terms, market, now, work, restart, self._seen, machine, left)
        self._see(now, market, machine)
        return choice.why if choice.kind == "on-demand" else None

    def _see(self, now: float, market: Market, machine: Machine | None) -> None:
        zone = None if machine is None else machine.zone or machine.region
        self._market = market
        self._seen = self._seen.after(now, market.up, market.prices, zone)

    def _elapsed(self) -> float:
        return (self._now() - self._submitted_at).total_seconds()

    def _restart(self, stretches: Sequence[Stretch]) -> float:
        return restart_time(self._terms, stretches)

    def _stretches(self, now: float, before: int | None = None) -> list[Stretch]:
        """What is on record of the attempts, those before a number if one is given. What has no end
        there works no more, for another is wanted: it saves what it has, or it is lost."""
        run, found = self._record.run, []
        for one in attempts_of(self._store, run):
            if before is None or one.number < before:
                status = attempts.read_status(self._store, run, one.number)
                here = stretch_of(one.machine, status, one.end, self._submitted_at)
                found.append(replace(here, ended=now if here.ended is None else here.ended))
        return found

    def _before(self, attempt: int, now: float) -> list[Stretch]:
        """The attempts before one: read once, for they stay as they are."""
        if self._known[0] != attempt:
            self._known = (attempt, self._stretches(now, before=attempt))
        return self._known[1]

    def _recalled(self) -> list[Refusal]:
        """What earlier launches found short of spot. Of what is on demand memory is no reason: it
        is asked for when there is no time left to be wrong."""
        now = time.time()
        return [
            Refusal(
                Scope.OFFER,
                one.region,
                one.machine,
                True,
                frozenset({one.zone}),
                0.0,
                one.until - now,
                passing=False,
            )
            for one in shortages.recall(self._store, self._record.cloud, now)
            if one.spot
        ]


def _gone(machine: Machine, at: float) -> Refusal:
    zones = frozenset({machine.zone} if machine.zone else ())
    return Refusal(
        Scope.OFFER, machine.region, machine.machine, machine.spot, zones, at, _LOST_S, False
    )


def _without(offers: Sequence[Offer], refusals: Sequence[Refusal]) -> list[Offer]:
    return [left for offer in offers if (left := without(offer, refusals)) is not None]
