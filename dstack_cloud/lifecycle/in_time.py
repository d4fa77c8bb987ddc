"""Keeping a run's deadline: asks the policy with what is on record and what was found on the way.

Decisions are made while a client looks for a machine, and while it follows one: nobody else can
launch what they call for. Whether spot is to be had, only asking for it tells: a zone may be up
until it refuses, and again when some time has passed since.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from dstack_cloud.availability import Seen
from dstack_cloud.clouds.base import LaunchFailure, Machine, Scope
from dstack_cloud.deadline import Choice
from dstack_cloud.lifecycle.capacity import (
    Ask,
    GiveUp,
    Patience,
    Pending,
    Refusal,
    Step,
    Wait,
    ends,
    refusals_of,
    without,
)
from dstack_cloud.lifecycle.follow import Following
from dstack_cloud.lifecycle.market import (
    Market,
    choose,
    kind_of,
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
# Prices are looked up anew after so long beside a machine on demand.
_PLAN_S = 600.0
# Looks beside a machine on demand go on for as long as it works, with pauses that grow.
_PATIENT = Patience(wait=1 << 40)
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
        self,
        store: Store,
        record: RunRecord,
        terms: Terms,
        now: Callable[[], datetime] = utc_now,
        age: float | None = None,
    ) -> None:
        """``age`` is how many seconds ago the run was submitted, where that is known better than
        by comparing this client's clock with the submitter's."""
        self._store = store
        self._record = record
        self._terms = terms
        self._now = now
        self._submitted_at = parse_time(record.submitted_at)
        self._ahead = 0.0
        if age is not None:
            self._ahead = self._elapsed() - age
        self._seen: Seen = nothing_seen(terms)
        self._market: Market | None = None
        self._offers: tuple[Offer, ...] | None = None
        self._planned = -math.inf
        self._lost: list[tuple[Machine, float]] = []
        # Seconds since the submission: what searches and looks were refused.
        self._refusals: list[Refusal] = []
        self._doubts: dict[tuple[object, ...], Refusal] = {}
        self._known: tuple[int, list[Stretch]] = (0, [])
        self._due = 0.0

    def lose(self, machine: Machine) -> None:
        """A machine was taken away, or is being left. One on demand says nothing of its pool."""
        if machine.spot:
            self._lost.append((machine, self._elapsed()))

    def needs_offers(self) -> bool:
        """Whether a new plan is wanted before it is asked what should run."""
        return self._offers is None or time.monotonic() - self._planned > _PLAN_S

    def know(self, offers: Sequence[Offer] | None) -> None:
        """What a new plan has; None where none could be made: what is known stays."""
        self._planned = time.monotonic()
        self._offers = tuple(offers) if offers is not None else self._offers or ()

    def search(self) -> Decide:
        """What to ask for next in a search that begins now, as `capacity.next_step`."""
        begun = self._elapsed()
        stretches = self._stretches(begun)
        before = list(self._refusals)
        told = self._short(begun)
        known = [(one, end - begun) for one, end in told]

        def step(
            offers: Sequence[Offer],
            refusals: Sequence[Refusal],
            waited: float,
            patience: Patience,
            pending: Sequence[Pending] = (),
        ) -> Step:
            self.know(offers)
            self._refusals = [*before, *(replace(one, at=one.at + begun) for one in refusals)]
            if pending:
                return Wait(None)
            now = begun + waited
            every = [*known, *ends(refusals, patience)]
            left = _without(offers, [one for one, end in every if end > waited])
            market = market_of(offers, left)
            # What was refused may be back, which only asking tells: it counts as seen when it is.
            sure = _without(offers, [*(one for one, _ in told), *self._doubted()])
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

    def move(self, status: Mapping[str, Any], target: Following) -> Choice | None:
        """What should run in the place of the machine that is followed; None for nothing else.

        ``status`` is the agent's last word. Asked at each. A move that comes too late to help is
        not made: what runs may still be in time. A machine on demand is let begin its work first.
        """
        machine, clock = target.machine, time.monotonic()
        if clock < self._due or status.get("phase") in _OVER:
            return None
        now = self._elapsed()
        launched = format_time(machine.launched_at) if machine.launched_at else None
        here = stretch_of({"launched_at": launched}, status, None, self._submitted_at)
        if here.heard is not None:
            here = replace(here, off=now - here.heard)
        if not machine.spot and (here.started is None or not self._offers):
            return None
        self._due = clock + (_LOOK_S if machine.spot else self._terms.interval)
        stretches = [*self._before(target.attempt, now), here]
        work, restart = work_left(self._terms, stretches, now), self._restart(stretches)
        left = 0.0
        if here.started is None:
            left = max(0.0, restart - (now - (here.launched or now)))
        elif machine.spot and now + restart + work > self._terms.deadline:
            return None
        market, sure = self._markets(machine, now)
        choice = choose(self._terms, market, now, work, restart, self._seen, machine, left)
        self._see(now, sure, machine)
        return None if choice.kind == kind_of(machine) else choice

    def worth_a_look(self) -> tuple[Offer, ...]:
        """Which spot offers to ask for at once, beside a machine on demand."""
        offers, now = self._offers or (), self._elapsed()
        left = _without(offers, [one for one, end in self._short(now) if end > now])
        return worth_asking("spot", left, market_of(offers, left))

    def refused(self, asked: Sequence[Offer], failures: Sequence[LaunchFailure]) -> None:
        """Such a request has brought no machine."""
        self._refusals += refusals_of(asked, failures, self._elapsed())

    def _markets(self, machine: Machine, now: float) -> tuple[Market, Market]:
        """As far as it may be hoped, and as far as it was seen. Beside a spot machine nobody looks:
        what was seen last holds."""
        if machine.spot:
            market = with_machine(self._market, machine)
            return market, market
        offers, short = self._offers or (), self._short(now)
        left = _without(offers, [one for one, end in short if end > now])
        # What was refused may be back, which only asking tells: it counts as seen when it is.
        sure = _without(offers, [*(one for one, _ in short), *self._doubted()])
        return market_of(offers, left), market_of(offers, sure)

    def _short(self, now: float) -> list[tuple[Refusal, float]]:
        """What is not to be had as far as known, and until when: what was refused, what took a
        machine back, what other launches remember of pools that were not asked from here."""
        own = ends(self._refusals, _PATIENT)
        asked = {pool for one in self._refusals for pool in _pools(one)}
        others = [one for one in self._recalled(now) if asked.isdisjoint(_pools(one))]
        self._doubts |= {pool: one for one in others for pool in _pools(one)}
        gone = [_gone(one, at) for one, at in self._lost]
        return [*own, *((one, one.at + one.seconds) for one in [*others, *gone])]

    def _doubted(self) -> list[Refusal]:
        """What was short at any time, though it may not be any more."""
        return [*self._refusals, *self._doubts.values()]

    def _see(self, now: float, market: Market, machine: Machine | None) -> None:
        zone = machine.zone or machine.region if machine is not None and machine.spot else None
        self._market = market
        self._seen = self._seen.after(now, market.up, market.prices, zone)

    def _elapsed(self) -> float:
        return (self._now() - self._submitted_at).total_seconds() - self._ahead

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

    def _recalled(self, now: float) -> list[Refusal]:
        """What earlier launches found short of spot. Of what is on demand memory is no reason: it
        is asked for when there is no time left to be wrong."""
        today = time.time()
        return [
            Refusal(
                Scope.OFFER,
                one.region,
                one.machine,
                True,
                frozenset({one.zone}),
                now,
                one.until - today,
                passing=False,
            )
            for one in shortages.recall(self._store, self._record.cloud, today)
            if one.spot
        ]


def _pools(one: Refusal) -> list[tuple[object, ...]]:
    return [(one.region, one.machine, one.spot, zone) for zone in one.zones]


def _gone(machine: Machine, at: float) -> Refusal:
    zones = frozenset({machine.zone} if machine.zone else ())
    return Refusal(
        Scope.OFFER, machine.region, machine.machine, machine.spot, zones, at, _LOST_S, False
    )


def _without(offers: Sequence[Offer], refusals: Sequence[Refusal]) -> list[Offer]:
    return [left for offer in offers if (left := without(offer, refusals)) is not None]
