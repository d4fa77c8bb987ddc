"""Which offers are asked for together, and where."""

from __future__ import annotations

from typing import Any

from dstack_cloud.clouds.aws.groups import MOST_POOLS, group, pools
from dstack_cloud.clouds.aws.network import Network, Subnet
from dstack_cloud.resources import Gpu
from dstack_cloud.units import GIB

V100 = Gpu("V100", 1, 16 * GIB)


def machines(groups: list[Any]) -> list[list[str]]:
    return [[offer.machine for offer in one.offers] for one in groups]


def test_one_image_and_market_is_one_group(offer: Any) -> None:
    found = group([offer("g4dn.xlarge"), offer("g5.xlarge", price="0.12")])
    assert machines(found) == [["g4dn.xlarge", "g5.xlarge"]]
    assert found[0].spot


def test_another_image_begins_a_group_in_rank_order(offer: Any) -> None:
    found = group([offer("g4dn.xlarge"), offer("p3.2xlarge", gpu=V100), offer("g5.xlarge")])
    assert machines(found) == [["g4dn.xlarge"], ["p3.2xlarge"], ["g5.xlarge"]]
    assert [one.recipe.ready for one in found] == [True, False, True]


def test_another_market_begins_a_group(offer: Any) -> None:
    found = group([offer("g4dn.xlarge"), offer("g4dn.xlarge", spot=False)])
    assert [one.spot for one in found] == [True, False]


def test_spot_leaves_the_group_with_the_margin(offer: Any) -> None:
    found = group([offer("a", price="1.00"), offer("b", price="1.25"), offer("c", price="1.26")])
    assert machines(found) == [["a", "b"], ["c"]]


def test_on_demand_needs_no_margin(offer: Any) -> None:
    found = group([offer("a", spot=False, price="1"), offer("b", spot=False, price="9")])
    assert machines(found) == [["a", "b"]]


def test_an_unknown_price_is_not_near_a_known_one(offer: Any) -> None:
    found = group([offer("a"), offer("b", price=None), offer("c", price=None)])
    assert machines(found) == [["a"], ["b", "c"]]


def test_a_configured_image_is_one_for_all(offer: Any) -> None:
    found = group([offer("g4dn.xlarge"), offer("p3.2xlarge", gpu=V100)], "ami-1")
    assert machines(found) == [["g4dn.xlarge", "p3.2xlarge"]]


def test_pools_follow_the_rank_and_the_cheapest_zone(offer: Any, network: Network) -> None:
    first = offer("a", zones=("us-east-1b", "us-east-1a"))
    second = offer("b", zones=("us-east-1a",))
    found = pools(group([first, second])[0], network)
    assert [(pool.offer.machine, pool.subnet.id) for pool in found] == [
        ("a", "subnet-b"),
        ("a", "subnet-a"),
        ("b", "subnet-a"),
    ]


def test_zones_go_by_id_too(offer: Any, network: Network) -> None:
    found = pools(group([offer(zones=("use1-az6",))])[0], network)
    assert [(pool.zone, pool.subnet.zone) for pool in found] == [("use1-az6", "us-east-1b")]


def test_no_zones_means_every_subnet_with_a_group(offer: Any, network: Network) -> None:
    found = pools(group([offer(zones=())])[0], network)
    assert [pool.subnet.id for pool in found] == ["subnet-a", "subnet-b"]


def test_a_zone_without_a_subnet_gives_no_pool(offer: Any, network: Network) -> None:
    assert pools(group([offer(zones=("us-east-1e",))])[0], network) == []


def test_one_request_stays_in_one_vpc(offer: Any) -> None:
    two = Network(
        (Subnet("s1", "v1", "us-east-1a", ""), Subnet("s2", "v2", "us-east-1a", "")),
        {"v1": ("sg-1",), "v2": ("sg-2",)},
        own=True,
    )
    assert [pool.subnet.id for pool in pools(group([offer()])[0], two)] == ["s1"]


def test_a_request_never_exceeds_what_a_fleet_takes(offer: Any, network: Network) -> None:
    many = [offer(f"m{number}") for number in range(150)]
    assert len(pools(group(many)[0], network)) == MOST_POOLS


def test_the_price_is_that_of_the_zone(offer: Any, network: Network) -> None:
    from dataclasses import replace
    from decimal import Decimal

    from dstack_cloud.resources import ZonePrice

    prices = (ZonePrice("us-east-1a", Decimal("0.1")), ZonePrice("us-east-1b", Decimal("0.2")))
    found = pools(group([replace(offer(), zones=prices)])[0], network)
    assert [str(pool.price) for pool in found] == ["0.1", "0.2"]
