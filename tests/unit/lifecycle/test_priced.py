"""What a machine costs that nobody put on record."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from dstack_cloud.clouds.base import Machine, MachineState
from dstack_cloud.lifecycle.priced import priced, prices_of
from dstack_cloud.rates import DEFAULT_DISK
from dstack_cloud.resources import Offer, ZonePrice
from dstack_cloud.units import GIB

_ZONES = (ZonePrice("a", Decimal("0.10")), ZonePrice("b", Decimal("0.20")))
_OFFERS = [
    Offer("aws", "r", "g", 4, 1, None, True, Decimal("0.10"), Decimal(1), _ZONES),
    Offer("aws", "r", "g", 4, 1, None, False, Decimal(1), Decimal(1)),
    Offer("aws", "q", "g", 4, 1, None, True, Decimal("0.05"), Decimal(2)),
]
_INTENT = json.loads(json.dumps({"prices": prices_of(_OFFERS)}))


def _listed(region: str = "r", zone: str | None = "b", spot: bool = True) -> Machine:
    return Machine("aws", region, "i-1", "g", MachineState.RUNNING, zone=zone, spot=spot)


@pytest.mark.parametrize(
    ("machine", "price", "on_demand"),
    [
        (_listed(), "0.20", "1"),
        (_listed(zone="c"), "0.10", "1"),
        (_listed(spot=False), "1", "1"),
        (_listed("q"), "0.05", "2"),
    ],
)
def test_by_the_offer_in_its_zone(machine: Machine, price: str, on_demand: str) -> None:
    found = priced(machine, _INTENT, 50 * GIB)
    assert (found.price, found.on_demand) == (Decimal(price), Decimal(on_demand))
    assert (found.disk, found.public, found.id) == (50 * GIB, True, "i-1")


def test_of_an_earlier_version_the_price_is_not_known() -> None:
    found = priced(_listed(), {}, None)
    assert (found.price, found.on_demand, found.disk) == (None, None, DEFAULT_DISK)
