"""Where an interrupted run looks for its next machine."""

from __future__ import annotations

from decimal import Decimal

from dstack_cloud.clouds.base import Machine, MachineState
from dstack_cloud.lifecycle.elsewhere import elsewhere
from dstack_cloud.resources import Offer, ZonePrice


def _offer(machine: str, spot: bool = True) -> Offer:
    zones = (ZonePrice("a", Decimal("0.1")), ZonePrice("b", Decimal("0.2")))
    price = Decimal("0.1")
    return Offer("aws", "r", machine, 4, 1, None, spot, price, Decimal(1), zones)


def _lost(machine: str, zone: str, spot: bool = True) -> Machine:
    return Machine("aws", "r", "i", machine, MachineState.GONE, zone=zone, spot=spot)


def test_the_pool_that_failed_is_left_out_and_its_price_with_it() -> None:
    first, second = elsewhere([_offer("g"), _offer("h")], [_lost("g", "a")])
    assert [zone.zone for zone in first.zones] == ["b"]
    assert first.price == Decimal("0.2")
    assert second == _offer("h")


def test_an_offer_without_zones_left_goes() -> None:
    lost = [_lost("g", "a"), _lost("g", "b")]
    assert elsewhere([_offer("g"), _offer("h")], lost) == [_offer("h")]


def test_on_demand_in_the_same_zone_is_another_pool() -> None:
    assert elsewhere([_offer("g", spot=False)], [_lost("g", "a")]) == [_offer("g", spot=False)]


def test_the_same_pool_again_is_better_than_none() -> None:
    lost = [_lost("g", "a"), _lost("g", "b")]
    assert elsewhere([_offer("g")], lost) == [_offer("g")]
