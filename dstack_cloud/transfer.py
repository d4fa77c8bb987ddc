"""What it costs to move data out of a place: to another region, another cloud, the internet. Pure.

Estimates, USD a GiB, of the first tier and without what is free (100 GB a month of AWS's and of
Cloud Storage's from North America), so that the bill is rather lower. What comes in is free
everywhere, and so is traffic within a region, between a machine and a store included.

AWS (https://aws.amazon.com/ec2/pricing/on-demand/, "Data Transfer"; S3 has the same prices): from
the list that Skyplane (Apache-2.0) took from AWS's price API in 2022; where AWS's own pages have
been quoted since, they agree.

Google Cloud (https://cloud.google.com/storage/pricing, "Network"; https://cloud.google.com/vpc/
network-pricing): 0.12 to the internet as that page had it in September 2026 ("worldwide, 0 to 10
TiB"; China and Australia cost more, and whoever downloads is taken to be elsewhere); 0.02 between
regions of North America and between those of Europe. Other distances are not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from dstack_cloud.units import GIB


@dataclass(frozen=True)
class Place:
    """A region of a cloud: where a machine is, or a store."""

    cloud: str
    region: str


@dataclass(frozen=True)
class Load:
    """Bytes that lie in the store of a place, and are needed on a machine."""

    place: Place
    size: int


_FREE = Decimal(0)

_AWS_INTERNET = {
    region: Decimal(price)
    for price, regions in {
        "0.09": "us-east-1 us-east-2 us-west-1 us-west-2 ca-central-1 eu-central-1 eu-west-1"
        " eu-west-2 eu-west-3 eu-north-1 eu-south-1",
        "0.1093": "ap-south-1",
        "0.114": "ap-northeast-1 ap-northeast-3 ap-southeast-2",
        "0.117": "me-south-1",
        "0.12": "ap-east-1 ap-southeast-1",
        "0.126": "ap-northeast-2",
        "0.132": "ap-southeast-3",
        "0.15": "sa-east-1",
        "0.154": "af-south-1",
    }.items()
    for region in regions.split()
}
_AWS_REGIONS = {
    region: Decimal(price)
    for price, regions in {
        "0.02": "us-east-1 us-east-2 us-west-1 us-west-2 ca-central-1 eu-central-1 eu-west-1"
        " eu-west-2 eu-west-3 eu-north-1 eu-south-1",
        "0.08": "ap-northeast-2",
        "0.086": "ap-south-1",
        "0.09": "ap-east-1 ap-northeast-1 ap-northeast-3 ap-southeast-1",
        "0.098": "ap-southeast-2",
        "0.1": "ap-southeast-3",
        "0.1105": "me-south-1",
        "0.138": "sa-east-1",
        "0.147": "af-south-1",
    }.items()
    for region in regions.split()
}
_AWS_NEIGHBOURS = frozenset({"us-east-1", "us-east-2"})
_AWS_NEIGHBOUR = Decimal("0.01")

_GCP_INTERNET = Decimal("0.12")
_GCP_CONTINENTS: Mapping[str, tuple[str, ...]] = {
    "North America": ("us-", "northamerica-"),
    "Europe": ("europe-",),
}
_GCP_SAME_CONTINENT = Decimal("0.02")

_DEAREST = {
    "aws": max(_AWS_INTERNET.values()),
    # To Australia, the dearest destination but China.
    "gcp": Decimal("0.19"),
}


def price(source: Place, target: Place | None) -> Decimal | None:
    """USD a GiB from a place to another one (None: to the internet); None where not known."""
    if source.cloud == "local" or source == target:
        return _FREE
    if target is None or target.cloud != source.cloud:
        return _to_internet(source)
    if source.cloud == "aws":
        if {source.region, target.region} == _AWS_NEIGHBOURS:
            return _AWS_NEIGHBOUR
        return _AWS_REGIONS.get(source.region)
    if source.cloud == "gcp":
        here, there = _continent(source.region), _continent(target.region)
        return _GCP_SAME_CONTINENT if here is not None and here == there else None
    return None


def at_most(source: Place, target: Place | None) -> Decimal:
    """The same, and where it is not known what no way out of that cloud costs more than: for those
    who must not be surprised."""
    known = price(source, target)
    return _DEAREST.get(source.cloud, max(_DEAREST.values())) if known is None else known


def cost(size: int, price: Decimal | None) -> Decimal | None:
    """USD for ``size`` bytes at ``price`` USD a GiB. Nothing moved costs nothing at any price."""
    if not size:
        return _FREE
    return None if price is None else price * size / GIB


def bringing(loads: Iterable[Load], store: Place, machine: Place) -> Decimal | None:
    """USD for getting loads onto a machine whose own cloud's store is at ``store``; None where a
    price is not known. What lies in another cloud's store comes over by way of that one."""
    costs = [cost(load.size, price(*way)) for load in loads for way in _ways(load, store, machine)]
    return None if None in costs else sum(filter(None, costs), _FREE)


def bringing_at_most(loads: Iterable[Load], store: Place, machine: Place) -> Decimal:
    """The same, by `at_most` where a price is not known."""
    costs = (
        cost(load.size, at_most(*way)) for load in loads for way in _ways(load, store, machine)
    )
    return sum(filter(None, costs), _FREE)


def _ways(load: Load, store: Place, machine: Place) -> list[tuple[Place, Place | None]]:
    if load.place.cloud == store.cloud:
        return [(load.place, machine)]
    # Whoever carries it over is on the internet; what comes in is free.
    return [(load.place, None), (store, machine)]


def _to_internet(source: Place) -> Decimal | None:
    if source.cloud == "aws":
        return _AWS_INTERNET.get(source.region)
    return _GCP_INTERNET if source.cloud == "gcp" else None


def _continent(region: str) -> str | None:
    return next(
        (name for name, starts in _GCP_CONTINENTS.items() if region.startswith(starts)), None
    )
