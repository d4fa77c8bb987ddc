"""The bundled catalogs: complete, sane, and what Google's own page says."""

from __future__ import annotations

import sqlite3
from decimal import Decimal

import pytest

from dstack_cloud.catalog import schema, snapshot
from dstack_cloud.catalog.attached_gpus import LIMITS, google_type
from dstack_cloud.catalog.gpus import KNOWN
from dstack_cloud.catalog.query import Catalog
from dstack_cloud.match import match
from dstack_cloud.resources import GpuRequest, ResourceRequest
from dstack_cloud.units import GIB

TYPES = {machine.name: machine for machine in snapshot.read_types("gcp")}
REGIONS = {found.region: found for found in snapshot.read_regions("gcp")}
PRICES = {
    (place.machine, region): place.on_demand
    for region, found in REGIONS.items()
    for place in found.places
}


def test_the_files_are_those_of_the_stamp() -> None:
    assert snapshot.clouds() == ["aws", "gcp"]
    for cloud in snapshot.clouds():
        assert snapshot.digest(cloud) == snapshot.stamp(cloud)


def test_every_type_is_whole() -> None:
    assert {"e2", "n1", "n2", "n2d", "c3", "g2", "a2", "a3"} <= {
        name.partition("-")[0] for name in TYPES
    }
    for name, machine in TYPES.items():
        assert machine.cpu >= 1, name
        assert machine.memory >= 0.5 * GIB, name
        assert machine.architecture == "x86_64", name
        if machine.gpu:
            assert machine.gpu.name in KNOWN, name
            assert machine.gpu.memory / GIB in KNOWN[machine.gpu.name], name
            assert machine.gpu.count in (1, 2, 4, 8, 16), name
        assert bool(machine.gpu) == (name[:2] in ("g2", "a2", "a3") or "+" in name), name


def test_every_place_is_of_a_type_and_has_zones() -> None:
    assert len(REGIONS) >= 20
    for region, found in REGIONS.items():
        assert found.date == "2025-03-02"
        for place in found.places:
            assert place.machine in TYPES
            assert place.zones
            assert all(zone.rpartition("-")[0] == region for zone in place.zones)
            assert not place.spot


@pytest.mark.parametrize(
    ("machine", "gpu", "price"),
    [
        # cloud.google.com/compute/vm-instance-pricing and /compute/gpus-pricing, Iowa.
        ("e2-standard-4", None, "0.13402"),
        ("e2-micro", None, "0.00838"),
        ("f1-micro", None, "0.0076"),
        ("n1-standard-4", None, "0.19000"),
        ("n2-standard-8", None, "0.38847"),
        ("n2d-standard-2", None, "0.08449"),
        ("c3-standard-4", None, "0.20161"),
        ("g2-standard-4", ("L4", 1, 24), "0.70683"),
        ("a2-highgpu-1g", ("A100", 1, 40), "3.67339"),
        ("a2-megagpu-16g", ("A100", 16, 40), "55.73951"),
        ("a2-ultragpu-1g", ("A100", 1, 80), "5.06880"),
        ("a3-highgpu-8g", ("H100", 8, 80), "88.49002"),
        ("n1-standard-4+1xT4", ("T4", 1, 16), "0.54000"),
        ("n1-standard-8+1xV100", ("V100", 1, 16), "2.86000"),
    ],
)
def test_anchors(machine: str, gpu: tuple[str, int, int] | None, price: str) -> None:
    found = TYPES[machine].gpu
    assert (found and (found.name, found.count, found.memory // GIB)) == gpu
    assert PRICES[machine, "us-central1"] == pytest.approx(Decimal(price), abs=Decimal("0.00001"))


def test_prices_are_within_bounds() -> None:
    known = {place: price for place, price in PRICES.items() if price is not None}
    assert len(known) > 0.85 * len(PRICES)
    for (name, region), price in known.items():
        machine = TYPES[name]
        if machine.gpu:
            assert Decimal("0.3") < price / machine.gpu.count < Decimal(15), name
        else:
            assert Decimal("0.004") < price / machine.cpu < Decimal("0.2"), name
        # No region is far from Iowa: Sao Paulo is the dearest.
        iowa = PRICES.get((name, "us-central1"))
        if iowa:
            assert Decimal("0.9") < price / iowa < Decimal("1.75"), (name, region)
        if "+" in name:
            plain = known[google_type(name), region]
            assert price > plain, (name, region)


def test_what_is_not_sold_on_demand_has_no_such_price() -> None:
    for name in ("a3-highgpu-1g", "a3-highgpu-2g", "a3-highgpu-4g"):
        assert not TYPES[name].on_demand
        assert PRICES[name, "us-central1"] is None


def test_attached_gpus_keep_their_limits() -> None:
    attached = [machine for name, machine in TYPES.items() if "+" in name]
    assert {machine.gpu.name for machine in attached if machine.gpu} == set(LIMITS)
    for machine in attached:
        assert machine.gpu
        (limit,) = (one for one in LIMITS[machine.gpu.name] if one.gpus == machine.gpu.count)
        assert machine.cpu <= limit.cpus
        assert machine.memory <= limit.gibibytes * GIB


def test_both_clouds_are_ranked_by_price() -> None:
    catalogs = []
    for cloud in snapshot.clouds():
        database = sqlite3.connect(":memory:")
        schema.fill(database, cloud)
        catalogs.append(Catalog(cloud, database))
    request = ResourceRequest(gpu=GpuRequest(8, "A100"), interruptible=False)
    offers = match(request, catalogs, limit=40).offers
    assert {offer.cloud for offer in offers} == {"aws", "gcp"}
    prices = [offer.price for offer in offers if offer.price is not None]
    assert prices == sorted(prices)
    # A region names its cloud: types of the other are not even rejected.
    plan = match(ResourceRequest(cpu=2, interruptible=False, regions=("europe-west4",)), catalogs)
    assert {(offer.cloud, offer.region) for offer in plan.offers} == {("gcp", "europe-west4")}
    assert {one.machine for one in plan.rejections} <= set(TYPES)
