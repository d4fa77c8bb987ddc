"""What earlier launches found wanting, put to use in the order of offers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dstack_cloud.clouds.base import FailureKind, LaunchFailure
from dstack_cloud.lifecycle.capacity import in_zones
from dstack_cloud.resources import Offer
from dstack_cloud.state.shortages import Shortage

# A type that a zone does not have at all is worth another look now and then.
_LONGEST_S = 3600


def ranked_last(offers: Sequence[Offer], shortages: Iterable[Shortage]) -> list[Offer]:
    """The offers, those that were short a while ago behind the others of their market.

    None is left out: memory may be wrong, and then the run would be refused what is there. An
    offer that is short in some of its zones is cut in two.
    """
    short: dict[tuple[str, str, bool], set[str]] = {}
    for one in shortages:
        short.setdefault((one.region, one.machine, one.spot), set()).add(one.zone)
    fresh: list[Offer] = []
    last: list[Offer] = []
    for offer in offers:
        zones = frozenset(zone.zone for zone in offer.zones)
        bad = zones & short.get((offer.region, offer.machine, offer.spot), set())
        if not bad:
            fresh.append(offer)
            continue
        last.append(in_zones(offer, bad))
        if bad != zones:
            fresh.append(in_zones(offer, zones - bad))
    # A stable sort: spot stays before on demand, where both are in the plan.
    markets = list(dict.fromkeys(offer.spot for offer in offers))
    return sorted([*fresh, *last], key=lambda offer: markets.index(offer.spot))


def shortages_in(failures: Iterable[LaunchFailure], now: float) -> list[Shortage]:
    """What is worth remembering of failures at ``now``: missing capacity, zone by zone.

    A price or a quota is the caller's own affair, and no zone's.
    """
    return [
        Shortage(
            one.offer.region,
            one.zone,
            one.offer.machine,
            one.offer.spot,
            int(now + min(one.retry_after, _LONGEST_S)),
        )
        for one in failures
        if one.kind is FailureKind.CAPACITY and one.zone is not None
    ]
