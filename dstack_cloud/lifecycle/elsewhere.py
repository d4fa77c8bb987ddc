"""Where to look next: the same offers without the pools that have just failed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dstack_cloud.clouds.base import Machine
from dstack_cloud.resources import Offer


def elsewhere(offers: Sequence[Offer], lost: Sequence[Machine]) -> list[Offer]:
    """``offers`` without the zones in which a machine of that type and kind was lost.

    All of them when nothing else is left: the same pool again is better than no machine.
    """
    bad = {(machine.region, machine.machine, machine.spot, machine.zone) for machine in lost}
    left = []
    for offer in offers:
        place = (offer.region, offer.machine, offer.spot)
        zones = tuple(zone for zone in offer.zones if (*place, zone.zone) not in bad)
        if zones == offer.zones:
            left.append(offer)
        elif zones:
            left.append(replace(offer, zones=zones, price=zones[0].price))
    return left or list(offers)
