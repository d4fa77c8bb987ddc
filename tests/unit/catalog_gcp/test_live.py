"""The catalog of Google Cloud as it is read live, and kept."""

from __future__ import annotations

import sqlite3
from decimal import Decimal

import pytest

from dstack_cloud.catalog import schema
from dstack_cloud.catalog.attached_gpus import combinations, google_type
from dstack_cloud.catalog.fetch_gcp import GcpSource, Zone, assembled
from dstack_cloud.catalog.live import LiveRegion
from dstack_cloud.catalog.query import Catalog
from dstack_cloud.catalog.skus_gcp import Prices
from dstack_cloud.catalog.specs_gcp import machine_type
from dstack_cloud.catalog.update import refresh, refresh_spot, stale
from dstack_cloud.match import match
from dstack_cloud.resources import GpuRequest, ResourceRequest
from dstack_cloud.units import GIB
from moto_fixtures.gcp.catalog.places import ACCELERATORS, ZONES, shapes_of


@pytest.fixture
def live(rest) -> dict[str, LiveRegion]:
    found = GcpSource(rest, "demo").fetch(["us-central1", "europe-west4"])
    return {one.region: one for one in found}


def test_every_type_of_the_region_is_there_with_its_zones(live) -> None:
    iowa = live["us-central1"]
    places = {place.machine: place for place in iowa.places}
    zones = [zone for zone, region in ZONES.items() if region == "us-central1"]
    expected = {shape.name for zone in zones for shape in shapes_of(zone)}
    assert {google_type(name) for name in places} == expected
    assert places["a2-ultragpu-1g"].zones == ("us-central1-a", "us-central1-c")
    _, _, where = ACCELERATORS["nvidia-tesla-p100"]
    assert places["n1-standard-8+1xP100"].zones == tuple(
        f"us-central1-{letter}" for letter in where["us-central1"]
    )
    assert {machine.name for machine in iowa.types} == set(places)


def test_prices_are_the_sum_of_the_parts(live) -> None:
    places = {place.machine: place for place in live["us-central1"].places}
    core, gib, t4 = Decimal("0.031611"), Decimal("0.004237"), Decimal("0.35")
    plain = 4 * core + 15 * gib
    assert places["n1-standard-4"].on_demand == plain
    assert places["n1-standard-4+2xT4"].on_demand == plain + 2 * t4
    spot = dict(places["n1-standard-4+2xT4"].spot)
    assert set(spot) == set(places["n1-standard-4+2xT4"].zones)
    assert set(spot.values()) == {(plain + 2 * t4) * Decimal("0.3")}
    a3 = places["a3-highgpu-8g"].on_demand
    assert a3 is not None
    assert 80 < a3 < 100
    assert places["a3-highgpu-1g"].on_demand is None
    assert places["a3-highgpu-1g"].spot
    assert places["f1-micro"].on_demand == Decimal("0.0076")
    assert places["e2-micro"].on_demand == pytest.approx(Decimal("0.008376"), abs=Decimal("1e-6"))
    # The disks that come with it are billed: 16 of 375 GB.
    plain_c3, with_disks = places["c3-standard-88"], places["c3-standard-88-lssd"]
    assert with_disks.on_demand is not None
    assert plain_c3.on_demand is not None
    assert with_disks.on_demand - plain_c3.on_demand == pytest.approx(
        Decimal(16 * 375) * Decimal("0.08") / 730
    )


def test_prices_differ_by_region(live) -> None:
    prices = {
        region: next(p.on_demand for p in found.places if p.machine == "g2-standard-4")
        for region, found in live.items()
    }
    assert prices["europe-west4"] > prices["us-central1"]


def test_types_say_what_they_are(live) -> None:
    types = {machine.name: machine for machine in live["us-central1"].types}
    assert types["t2a-standard-4"].architecture == "arm64"
    assert types["c3-standard-192-metal"].metal
    gpu = types["a3-megagpu-8g"].gpu
    assert gpu
    assert (gpu.name, gpu.count, gpu.memory) == ("H100", 8, 80 * GIB)
    assert not types["a3-highgpu-2g"].on_demand
    assert types["a3-highgpu-8g"].on_demand


def test_left_out() -> None:
    plain = {"name": "e2-standard-2", "guestCpus": 2, "memoryMb": 8192}
    assert machine_type(plain)
    assert machine_type(plain | {"deprecated": {"state": "DEPRECATED"}}) is None
    assert machine_type(plain | {"name": "ct5lp-hightpu-4t"}) is None
    tpu = [{"guestAcceleratorType": "ct5lp", "guestAcceleratorCount": 4}]
    assert machine_type(plain | {"accelerators": tpu}) is None


@pytest.mark.parametrize(
    ("machine", "cpus", "gibibytes", "gpu", "zone", "counts"),
    [
        ("n1-standard-4", 4, 15, "T4", "us-central1-a", [1, 2, 4]),
        ("n1-standard-64", 64, 240, "T4", "us-central1-a", [4]),
        ("n1-standard-8", 8, 30, "V100", "us-central1-a", [1, 2, 4, 8]),
        ("n1-standard-16", 16, 60, "V100", "us-central1-a", [2, 4, 8]),
        ("n1-standard-32", 32, 120, "P4", "us-central1-a", [2, 4]),
        ("n1-standard-96", 96, 360, "P100", "us-central1-c", [4]),
        ("n1-standard-96", 96, 360, "P100", "us-east1-c", []),
        ("n1-highmem-64", 64, 416, "P100", "europe-west1-b", []),
        ("g1-small", 1, 1.7, "T4", "us-central1-a", []),
        ("n1-ultramem-40", 40, 961, "V100", "us-central1-a", []),
        ("n2-standard-4", 4, 16, "T4", "us-central1-a", []),
        ("n1-standard-4", 4, 15, "L4", "us-central1-a", []),
    ],
)
def test_how_many_gpus_a_machine_takes(machine, cpus, gibibytes, gpu, zone, counts) -> None:
    assert list(combinations(machine, cpus, gibibytes, gpu, zone)) == counts


def test_a_zone_without_the_gpu_has_no_machine_with_it() -> None:
    found = machine_type({"name": "n1-standard-4", "guestCpus": 4, "memoryMb": 15360})
    assert found
    zones = [Zone("us-central1-a", [found], {"T4"}), Zone("us-central1-b", [found], set())]
    places, _ = assembled("us-central1", zones, Prices())
    where = {place.machine: place.zones for place in places}
    assert where["n1-standard-4"] == ("us-central1-a", "us-central1-b")
    assert where["n1-standard-4+1xT4"] == ("us-central1-a",)


@pytest.fixture
def catalog() -> Catalog:
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.executescript(schema.TABLES + schema.INDEXES)
    return Catalog("gcp", database)


def test_kept_and_matched(catalog, rest) -> None:
    source = GcpSource(rest, "demo")
    assert stale(catalog, ["us-central1"]) == ["us-central1"]
    assert [one.problems for one in refresh(catalog, source, ["us-central1"])] == [[]]
    assert stale(catalog, ["us-central1"]) == []
    plan = match(ResourceRequest(gpu=GpuRequest(1, "T4"), interruptible=True), [catalog])
    first = plan.offers[0]
    assert (first.cloud, google_type(first.machine)) == ("gcp", "n1-standard-1")
    assert first.gpu
    assert (first.gpu.count, first.gpu.memory) == (1, 16 * GIB)
    assert first.spot
    assert first.price
    assert all(zone.price == first.price for zone in first.zones)
    # Spot prices are as old as the listing, and good for a day: nothing is asked for them.
    asked = len(rest.asked)
    assert refresh_spot(catalog, source, plan.offers) is False
    assert len(rest.asked) == asked


def test_prices_that_may_not_be_read_stay_as_they_were(catalog, rest) -> None:
    source = GcpSource(rest, "demo")
    list(refresh(catalog, source, ["us-central1"]))
    rest.refused = "cloudbilling"
    (again,) = refresh(catalog, source, ["us-central1"])
    assert [problem.kind for problem in again.problems] == ["permission"]
    offers = list(match(ResourceRequest(cpu=4), [catalog], limit=5).offers)
    assert all(offer.price for offer in offers)
