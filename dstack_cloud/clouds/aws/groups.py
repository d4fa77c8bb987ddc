"""Which offers may be asked for together: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from dstack_cloud.clouds.aws.images import Recipe, recipe
from dstack_cloud.clouds.aws.network import Network, Subnet
from dstack_cloud.resources import Offer

# For spot it is AWS that picks the pool, not we: offers asked for together cost about the same.
SPOT_MARGIN = Decimal("0.25")
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

    A group ends where the image or the market changes, and for spot where the price leaves the
    margin of the group's first. A later offer that fits an earlier group on other grounds does
    not join it: that would put it before better ones.
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
    first = group.offers[0].price
    if not offer.spot or (first is None and offer.price is None):
        return True
    if first is None or offer.price is None:
        return False
    return offer.price <= first * (1 + SPOT_MARGIN)


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
