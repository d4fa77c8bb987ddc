"""Offers, networks and requests to decide on."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from dstack_cloud.clouds.aws.network import Network, Subnet
from dstack_cloud.clouds.base import LaunchRequest
from dstack_cloud.resources import Gpu, Offer, ZonePrice
from dstack_cloud.units import GIB

T4 = Gpu("T4", 1, 16 * GIB)


@pytest.fixture
def offer() -> Callable[..., Offer]:
    def make(
        machine: str = "g4dn.xlarge",
        *,
        gpu: Gpu | None = T4,
        spot: bool = True,
        price: str | None = "0.10",
        zones: tuple[str, ...] = ("us-east-1a",),
        cpu: int = 4,
        **more: Any,
    ) -> Offer:
        money = None if price is None else Decimal(price)
        places = tuple(ZonePrice(zone, money) for zone in zones)
        return Offer(
            "aws", "us-east-1", machine, cpu, 16 * GIB, gpu, spot, money, Decimal(1), places, **more
        )

    return make


@pytest.fixture
def network() -> Network:
    return Network(
        (
            Subnet("subnet-a", "vpc-1", "us-east-1a", "use1-az4"),
            Subnet("subnet-b", "vpc-1", "us-east-1b", "use1-az6"),
            Subnet("subnet-z", "vpc-bare", "us-east-1b", "use1-az6"),
        ),
        {"vpc-1": ("sg-1",)},
        own=True,
    )


@pytest.fixture
def request_for() -> Callable[..., LaunchRequest]:
    def make(*offers: Offer, **more: Any) -> LaunchRequest:
        given = {"user_data": lambda image: b"#cloud-config\n", "owner": "ada@host", **more}
        return LaunchRequest("train-7", 2, "token", list(offers), **given)

    return make
