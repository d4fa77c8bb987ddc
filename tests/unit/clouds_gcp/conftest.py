"""Offers and requests to decide on."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from dstack_cloud.clouds.base import LaunchRequest
from dstack_cloud.resources import Gpu, Offer, ZonePrice
from dstack_cloud.units import GIB

L4 = Gpu("L4", 1, 24 * GIB)
T4 = Gpu("T4", 1, 16 * GIB)
ZONES = ("us-central1-a", "us-central1-b")


@pytest.fixture
def offer() -> Callable[..., Offer]:
    def make(
        machine: str = "g2-standard-4",
        *,
        gpu: Gpu | None = L4,
        spot: bool = True,
        price: str | None = "0.20",
        zones: tuple[str, ...] = ZONES,
        cpu: int = 4,
        **more: Any,
    ) -> Offer:
        money = None if price is None else Decimal(price)
        places = tuple(ZonePrice(zone, money) for zone in zones)
        return Offer(
            "gcp",
            "us-central1",
            machine,
            cpu,
            16 * GIB,
            gpu,
            spot,
            money,
            Decimal(1),
            places,
            **more,
        )

    return make


@pytest.fixture
def request_for() -> Callable[..., LaunchRequest]:
    def make(*offers: Offer, **more: Any) -> LaunchRequest:
        given = {
            "user_data": lambda image: b"#cloud-config\n",
            "owner": "ada@host",
            "store": "gs://bucket/team",
            "authorized_key": "ssh-ed25519 AAAA ada@host",
            **more,
        }
        return LaunchRequest("Train_big-7", 2, "token", list(offers), **given)

    return make
