"""AwsCloud against the emulated AWS, with the daily user's keys unless a test says otherwise."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from support.aws_server import serving
from support.emulated_aws import STORE, Aws

from dstack_cloud.clouds.aws.cloud import AwsCloud
from dstack_cloud.clouds.aws.init import init
from dstack_cloud.clouds.base import LaunchRequest
from dstack_cloud.config import AwsConfig
from dstack_cloud.resources import Gpu, Offer, ZonePrice
from dstack_cloud.units import GIB

T4 = Gpu("T4", 1, 16 * GIB)
_numbers = itertools.count(1)


As = Callable[[str], None]


def _log_in(server: Aws, patch: pytest.MonkeyPatch, user: str) -> None:
    key = server.keys(user)
    patch.setenv("AWS_ENDPOINT_URL", server.url)
    patch.setenv("AWS_ACCESS_KEY_ID", key["access_key_id"])
    patch.setenv("AWS_SECRET_ACCESS_KEY", key["secret_access_key"])
    patch.setenv("AWS_CONFIG_FILE", "/dev/null")
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    patch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture(scope="session")
def server() -> Iterator[Aws]:
    """An account in which the administrator has run ``init`` for two regions."""
    with serving("clouds-aws") as aws, pytest.MonkeyPatch.context() as patch:
        _log_in(aws, patch, "dstack-admin")
        for _ in init(AwsConfig(store=f"s3://{STORE}", regions=("us-east-1", "us-west-2"))):
            pass
        yield aws


@pytest.fixture
def login(server: Aws, monkeypatch: pytest.MonkeyPatch) -> As:
    """Take on a user of the emulated account: ``dstack-daily``, ``dstack-admin``, ``root``."""
    return lambda user: _log_in(server, monkeypatch, user)


@pytest.fixture
def aws(server: Aws, login: As) -> Iterator[Aws]:
    """The account, as the daily user, put back as it was after the test."""
    login("dstack-daily")
    server.control("DELETE", "calls")
    yield server
    for what in ("faults", "holds", "spot-price", "quota"):
        server.control("DELETE", what)
    alive = [one["id"] for one in server.control("GET", "machines") if one["state"] != "off"]
    if alive:
        server.client("ec2").terminate_instances(InstanceIds=alive)


@pytest.fixture
def cloud(aws: Aws) -> Iterator[AwsCloud]:
    made = AwsCloud(store_url=f"s3://{STORE}")
    yield made
    made.close()


def offer(
    machine: str = "g4dn.xlarge",
    *,
    gpu: Gpu | None = T4,
    spot: bool = True,
    price: str = "0.20",
    zones: tuple[str, ...] = ("us-east-1a", "us-east-1b"),
    region: str = "us-east-1",
    cpu: int = 4,
) -> Offer:
    places = tuple(ZonePrice(zone, Decimal(price)) for zone in zones)
    return Offer(
        "aws", region, machine, cpu, 16 * GIB, gpu, spot, Decimal(price), Decimal("0.526"), places
    )


def request(*offers: Offer, **more: Any) -> LaunchRequest:
    """A request of a run of its own."""
    number = next(_numbers)
    given: dict[str, Any] = {
        "run": f"train-{number}",
        "attempt": 1,
        "token": f"token-{number}",
        "user_data": lambda image: b"#cloud-config\n",
        "owner": "ada@host",
        **more,
    }
    return LaunchRequest(offers=list(offers or (offer(),)), **given)


@pytest.fixture
def new() -> Any:
    """Makes offers and requests: ``new.offer(…)``, ``new.request(…)``."""

    class New:
        offer = staticmethod(offer)
        request = staticmethod(request)

    return New
