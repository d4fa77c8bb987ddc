"""Which offers may be asked for together: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from dstack_cloud.clouds.aws.images import Recipe, recipe
from dstack_cloud.clouds.aws.network import Network, Subnet
from dstack_cloud.ranking import MARGIN
from dstack_cloud.resources import Offer

# CreateFleet takes 300 overrides; no fleet needs as many.
MOST_POOLS = 100


@dataclass(frozen=True)
class Group:
    """Offers that one request can ask for: one image, one market; best first."""

    recipe: Recipe
    spot: bool
    offers: tuple[Offer, ...]


@dataclass(frozen=True)
class Pool:
    """One offer in one subnet; ``zone`` is the offer's own name for where that is."""

    offer: Offer
    zone: str | None
    subnet: Subnet

    @property
    def price(self) -> Decimal | None:
        """USD an hour in this zone, as far as the offer tells."""
        for zone in self.offer.zones:
            if zone.zone == self.zone:
                return zone.price
        return self.offer.price


def group(offers: Sequence[Offer], image: str | None = None) -> list[Group]:
    """Cut ranked offers into groups, in the order in which to ask for them.

    A group ends where the image or the market changes, and for spot, where it is AWS that picks the
    pool and not we, where the cost leaves the margin of the group's first. A later offer that fits
    an earlier group on other grounds does not join it: that would put it before better ones.
    """
    groups: list[Group] = []
    for offer in offers:
        how = recipe(offer, image)
        last = groups[-1] if groups else None
        if last and last.recipe == how and last.spot == offer.spot and _near(last, offer):
            groups[-1] = Group(how, offer.spot, (*last.offers, offer))
        else:
            groups.append(Group(how, offer.spot, (offer,)))
    return groups


def _near(group: Group, offer: Offer) -> bool:
    first, cost = _cost(group.offers[0]), _cost(offer)
    if not offer.spot or (first is None and cost is None):
        return True
    if first is None or cost is None:
        return False
    return cost <= first * (1 + MARGIN)


def _cost(offer: Offer) -> Decimal | None:
    """What ranks the offer: its best zone's cost."""
    return offer.zones[0].cost if offer.zones else offer.price


def pools(group: Group, network: Network) -> list[Pool]:
    """The group's offers by subnet, best first: all of them in one VPC, that of the first.

    A launch names security groups once for all its pools, and a group belongs to one VPC.
    """
    found = [
        Pool(offer, zone, subnet)
        for offer in group.offers
        for zone, subnet in network.of_offer(offer)
    ]
    vpc = found[0].subnet.vpc if found else None
    return [pool for pool in found if pool.subnet.vpc == vpc][:MOST_POOLS]
