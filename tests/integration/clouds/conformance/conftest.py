"""Every cloud that the suite is held against, by name: a new one adds a maker here."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

import pytest
from support import gcp_server
from support.aws_server import serving
from support.emulated_aws import STORE

from dstack_cloud.clouds.base import Cloud
from dstack_cloud.resources import Gpu, Offer, ZonePrice
from dstack_cloud.units import GIB


@dataclass
class Subject:
    """A cloud, what it sells here, and how to make it sell nothing for a while."""

    cloud: Cloud
    region: str
    offers: Sequence[Offer]
    exhaust: Callable[[], None]
    settle: Callable[[], None]
    """Wait until machines that were ended are gone."""
    reset: Callable[[], None]


@contextmanager
def _aws() -> Iterator[Subject]:
    from dstack_cloud.clouds.aws.cloud import AwsCloud
    from dstack_cloud.clouds.aws.init import init
    from dstack_cloud.config import AwsConfig

    with serving("conformance") as aws, pytest.MonkeyPatch.context() as patch:

        def login(user: str) -> None:
            key = aws.keys(user)
            patch.setenv("AWS_ENDPOINT_URL", aws.url)
            patch.setenv("AWS_ACCESS_KEY_ID", key["access_key_id"])
            patch.setenv("AWS_SECRET_ACCESS_KEY", key["secret_access_key"])
            patch.delenv("AWS_PROFILE", raising=False)

        login("dstack-admin")
        for _ in init(AwsConfig(store=f"s3://{STORE}", regions=("us-east-1",))):
            pass
        login("dstack-daily")
        price = Decimal("0.2")
        places = (ZonePrice("us-east-1a", price), ZonePrice("us-east-1b", price))
        gpu = Gpu("T4", 1, 16 * GIB)
        offers = [
            Offer("aws", "us-east-1", kind, 4, 16 * GIB, gpu, True, price, Decimal(1), places)
            for kind in ("g4dn.xlarge", "g4dn.2xlarge")
        ]
        fault = {"action": "CreateFleet", "error": "InsufficientInstanceCapacity", "times": None}
        cloud = AwsCloud(store_url=f"s3://{STORE}")
        yield Subject(
            cloud,
            "us-east-1",
            offers,
            exhaust=lambda: aws.control("POST", "faults", fault),
            settle=lambda: aws.control("GET", "machines?until=none&wait=10"),
            reset=lambda: aws.control("DELETE", "faults"),
        )
        cloud.close()


@contextmanager
def _gcp() -> Iterator[Subject]:
    from dstack_cloud.clouds.gcp.cloud import GcpCloud
    from dstack_cloud.clouds.gcp.init import init
    from dstack_cloud.clouds.gcp.settings import Settings

    with gcp_server.serving("conformance-gcp") as gcp, pytest.MonkeyPatch.context() as patch:

        def login(user: str) -> None:
            for key, value in gcp.environment(user).items():
                patch.setenv(key, value)

        region, settings = "us-central1", Settings(store_url=f"gs://{gcp_server.STORE}")
        login("dstack-admin")
        member = f"serviceAccount:{gcp.email('dstack-daily')}"
        for _ in init(settings, [region], [member]):
            pass
        login("dstack-daily")
        price = Decimal("0.2")
        places = (ZonePrice("us-central1-a", price), ZonePrice("us-central1-b", price))
        gpu = Gpu("L4", 1, 24 * GIB)
        offers = [
            Offer("gcp", region, kind, 4, 16 * GIB, gpu, True, price, Decimal(1), places)
            for kind in ("g2-standard-4", "g2-standard-8")
        ]
        fault = {
            "action": "compute.regionInstances.bulkInsert",
            "error": "ZONE_RESOURCE_POOL_EXHAUSTED",
            "times": None,
        }
        cloud = GcpCloud(settings)
        yield Subject(
            cloud,
            region,
            offers,
            exhaust=lambda: gcp.control("POST", "faults", fault),
            settle=lambda: gcp.control("GET", "machines?until=none&wait=10"),
            reset=lambda: gcp.control("DELETE", "faults"),
        )
        cloud.close()


MAKERS = {"aws": _aws, "gcp": _gcp}


@pytest.fixture(scope="session", params=sorted(MAKERS))
def made(request: pytest.FixtureRequest) -> Iterator[Subject]:
    with MAKERS[request.param]() as subject:
        yield subject


@pytest.fixture
def subject(made: Subject) -> Iterator[Subject]:
    """The cloud, with no machine before and after."""
    yield made
    made.reset()
    cloud, region = made.cloud, made.region
    cloud.terminate(region, [machine.id for machine in cloud.machines(region)])
    made.settle()


_numbers = itertools.count(1)


@pytest.fixture
def run() -> str:
    """The name of a run that no other test has."""
    return f"conform-{next(_numbers)}"
