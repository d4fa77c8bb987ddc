"""What to ask for next while no machine is to be had. Pure: decided from what is known so far.

Offers are asked for in the order of their ranking, those of one region and market together. What
was refused is not asked for again until its time is over: as long as the refusal itself says, and
where somebody waits, for refusals of the passing kind, less at first and then longer each time.
Machines on demand behind spot ones are asked for when spot has been looked for long enough. A
region that takes long to answer does not hold up the others: the next one is asked meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dstack_cloud.clouds.base import FailureKind, LaunchFailure, Scope
from dstack_cloud.resources import Offer

_PASSING = (FailureKind.CAPACITY, FailureKind.PRICE, FailureKind.THROTTLED)
# A refusal that is longer than this is no shortage: the type is not there at all.
_LONGEST_SHORTAGE_S = 600
_FIRST_PAUSE_S = 15
_LONGEST_PAUSE_S = 300
_UNEXPLAINED_S = 300
# Requests under way at once: each may bring a machine, and all but one of them for nothing.
_MOST_PENDING = 2


@dataclass(frozen=True)
class Patience:
    """Seconds since the search began: after ``on_demand_after`` of them a machine on demand will
    do where spot was asked for (None: never); until ``wait`` the search goes on. A region that has
    not answered for ``overlap`` seconds is one that others need not wait for."""

    on_demand_after: int | None = None
    wait: int = 0
    overlap: float = 5.0

    @property
    def until(self) -> float:
        """When the search is over, if nothing was to be had."""
        return max(self.wait, self.on_demand_after or 0)


@dataclass(frozen=True)
class Refusal:
    """What could not be had at ``at`` (seconds since the search began), for ``seconds``.

    ``spot`` is the market that it holds for, None for both: what spot lacks on demand may have.
    ``zones`` are those that were asked for, none if the offer had none. ``passing`` says that it
    may well be there sooner.
    """

    scope: Scope
    region: str
    machine: str
    spot: bool | None
    zones: frozenset[str]
    at: float
    seconds: float
    passing: bool


@dataclass(frozen=True)
class Ask:
    """Ask for one machine of these offers: one region, one market, best first."""

    offers: tuple[Offer, ...]


@dataclass(frozen=True)
class Pending:
    """A request that has not been answered, made ``at`` seconds after the search began."""

    region: str
    spot: bool
    at: float


@dataclass(frozen=True)
class Wait:
    """Ask for nothing for so many seconds (None: until an answer comes), then decide again. An
    answer that comes meanwhile ends the wait. ``why``, where the wait is a choice."""

    seconds: float | None
    why: str = ""


@dataclass(frozen=True)
class GiveUp:
    """Nothing is to be had in the time that there is."""


Step = Ask | Wait | GiveUp


def next_step(
    offers: Sequence[Offer],
    refusals: Sequence[Refusal],
    waited: float,
    patience: Patience,
    pending: Sequence[Pending] = (),
) -> Step:
    """What to do ``waited`` seconds after the search began. ``refusals`` are in their order."""
    over_at = ends(refusals, patience)
    opening = _opening(offers, patience)
    open_now = [offer for offer in offers if offer.spot or waited >= opening]
    left = [
        found
        for offer in open_now
        if not _is_pending(offer, pending)
        and (found := without(offer, [one for one, end in over_at if end > waited])) is not None
    ]
    if pending:
        free_at = max(one.at for one in pending) + patience.overlap
        if not left or len(pending) >= _MOST_PENDING:
            return Wait(None)
        if waited < free_at:
            return Wait(free_at - waited)
    if left:
        first = (left[0].region, left[0].spot)
        return Ask(tuple(offer for offer in left if (offer.region, offer.spot) == first))
    next_at = min(
        [end for _, end in over_at if end > waited] + [opening] * (opening > waited), default=None
    )
    if next_at is None or next_at > patience.until:
        return GiveUp()
    return Wait(next_at - waited)


def _is_pending(offer: Offer, pending: Sequence[Pending]) -> bool:
    """Whether an answer under way may make a request for it needless: its region is being asked,
    or the better market."""
    return any(one.region == offer.region or one.spot != offer.spot for one in pending)


def refusals_of(
    asked: Sequence[Offer], failures: Sequence[LaunchFailure], at: float
) -> list[Refusal]:
    """What an answer without a machine rules out: everything that was asked for, and more where a
    failure says so."""
    found = []
    for offer in asked:
        mine = [
            one
            for one in failures
            if _place(one.offer) == _place(offer) and (one.zone is None or _in(offer, one.zone))
        ]
        seconds = min((one.retry_after for one in mine), default=_UNEXPLAINED_S)
        passing = all(one.kind in _PASSING for one in mine) and seconds <= _LONGEST_SHORTAGE_S
        found.append(_refusal(Scope.OFFER, offer, _zones(offer), at, seconds, passing))
    for one in failures:
        if one.scope is Scope.OFFER:
            continue
        zones = frozenset({one.zone} if one.zone and one.scope is Scope.ZONE else ())
        if one.scope is Scope.ZONE and not zones:
            continue  # It says no more than that the offer is not to be had.
        passing = one.kind in _PASSING and one.retry_after <= _LONGEST_SHORTAGE_S
        refusal = _refusal(one.scope, one.offer, zones, at, one.retry_after, passing)
        found.append(replace(refusal, spot=None) if one.any_market else refusal)
    return found


def _refusal(
    scope: Scope, offer: Offer, zones: frozenset[str], at: float, seconds: float, passing: bool
) -> Refusal:
    return Refusal(scope, offer.region, offer.machine, offer.spot, zones, at, seconds, passing)


def ends(refusals: Sequence[Refusal], patience: Patience) -> list[tuple[Refusal, float]]:
    """Each refusal with the moment at which it is over."""
    times: dict[tuple[object, ...], int] = {}
    found = []
    for one in refusals:
        key = (one.scope, one.region, one.machine, one.spot, one.zones)
        times[key] = times.get(key, 0) + 1
        seconds = one.seconds
        if one.passing and patience.until:
            pause = _FIRST_PAUSE_S * 2 ** (times[key] - 1)
            seconds = min(seconds, pause, _LONGEST_PAUSE_S)
        found.append((one, one.at + seconds))
    return found


def _opening(offers: Sequence[Offer], patience: Patience) -> float:
    """When offers on demand may be asked for: at once, unless spot is what was asked for."""
    if not any(offer.spot for offer in offers) or patience.on_demand_after is None:
        return 0
    return patience.on_demand_after


def without(offer: Offer, refusals: Iterable[Refusal]) -> Offer | None:
    """The offer in the zones that are not refused; None where none is left."""
    zones = _zones(offer)
    for one in refusals:
        if one.spot not in (None, offer.spot):
            continue
        if one.scope in (Scope.CLOUD, Scope.EVERYTHING):
            return None
        if one.region != offer.region:
            continue
        if one.scope is Scope.REGION:
            return None
        if one.scope is Scope.OFFER and one.machine != offer.machine:
            continue
        if not one.zones or not zones:
            return None
        zones -= one.zones
        if not zones:
            return None
    return in_zones(offer, zones)


def in_zones(offer: Offer, zones: frozenset[str]) -> Offer:
    """The offer in some of its zones, at the price of the cheapest of those."""
    if zones == _zones(offer):
        return offer
    left = tuple(zone for zone in offer.zones if zone.zone in zones)
    return replace(offer, zones=left, price=left[0].price if left[0].price else offer.price)


def _zones(offer: Offer) -> frozenset[str]:
    return frozenset(zone.zone for zone in offer.zones)


def _in(offer: Offer, zone: str) -> bool:
    return not offer.zones or zone in _zones(offer)


def _place(offer: Offer) -> tuple[str, str, bool]:
    return (offer.region, offer.machine, offer.spot)
