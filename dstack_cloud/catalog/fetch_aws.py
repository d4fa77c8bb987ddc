"""The catalog of AWS, read live: what the account is offered, and at what price.

Four readings a region, all regions and readings at once. Only the instance types and where they
are offered are indispensable: where the caller may not read prices, those that are known stay.

Only the calls that daily use is allowed are made: DescribeInstanceTypes,
DescribeInstanceTypeOfferings, DescribeSpotPriceHistory, pricing:GetProducts.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

from dstack_cloud.catalog.live import LiveRegion, SpotPrices
from dstack_cloud.catalog.models import MachineType, Place, SpotChange
from dstack_cloud.catalog.specs_aws import machine_type
from dstack_cloud.errors import AccessError, DstackError, TryAgainError
from dstack_cloud.units import utc_now

_T = TypeVar("_T")

_THREADS = 16
_TYPES_A_CALL = 100
_SPOT = {"ProductDescriptions": ["Linux/UNIX"]}
# https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/price-list-query-api.html
_PRICE_FILTERS = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "capacitystatus": "Used",
    "preInstalledSw": "NA",
    "marketoption": "OnDemand",
}


class Access(NamedTuple):
    """How AWS is reached: ``client(service, region)`` gives a boto3 client that threads may share,
    ``guard(doing, region)`` turns botocore's exceptions in its block into errors of ours."""

    client: Callable[[str, str], Any]
    guard: Callable[[str, str | None], AbstractContextManager[None]]


class AwsSource:
    """AWS as the catalog's source."""

    spot_age = timedelta(minutes=10)

    def __init__(self, access: Access) -> None:
        self._access = access

    def fetch(self, regions: Sequence[str]) -> Iterator[LiveRegion]:
        """See `Source`."""
        return fetch(self._access, regions)

    def fetch_spot(self, wanted: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, SpotPrices]]:
        """See `Source`."""
        return fetch_spot(self._access, wanted)


def fetch(access: Access, regions: Sequence[str]) -> Iterator[LiveRegion]:
    """Each region as soon as it is read. Raises errors of ours where one cannot be read at all."""
    for region in regions:  # boto3 makes clients from one thread only.
        access.client("ec2", region)
        access.client("pricing", pricing_region(region))
    with ThreadPoolExecutor(_THREADS) as pool:
        readings = [
            (
                region,
                utc_now(),
                pool.submit(_types, access, region),
                pool.submit(_zones, access, region),
                pool.submit(on_demand_prices, access, region),
                pool.submit(spot_prices, access, region, ()),
            )
            for region in regions
        ]
        try:
            for region, at, types, zones, prices, spot in readings:
                yield _assembled(region, at, types.result(), zones.result(), prices, spot)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def fetch_spot(
    access: Access, wanted: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, SpotPrices]]:
    """Today's spot prices of some machine types: region -> types in, region and prices out."""
    for region in wanted:
        access.client("ec2", region)
    with ThreadPoolExecutor(_THREADS) as pool:
        calls = [
            (region, pool.submit(spot_prices, access, region, types[start : start + _TYPES_A_CALL]))
            for region, types in wanted.items()
            for start in range(0, len(types), _TYPES_A_CALL)
        ]
        for region, call in calls:
            yield region, call.result()


def spot_prices(access: Access, region: str, types: Sequence[str]) -> SpotPrices:
    """The current spot prices of Linux in a region's zones; ``types`` empty means all."""
    only: dict[str, Any] = {"InstanceTypes": list(types)} if types else {}
    with access.guard("reading spot prices", region):
        client = access.client("ec2", region)
        now = utc_now()
        pages = client.get_paginator("describe_spot_price_history").paginate(
            StartTime=now, EndTime=now, **_SPOT, **only
        )
        rows = [row for page in pages for row in page["SpotPriceHistory"]]
    prices: SpotPrices = defaultdict(dict)
    for row in sorted(rows, key=lambda row: row["Timestamp"]):
        if _is_zone(row["AvailabilityZone"], region):
            prices[row["InstanceType"]][row["AvailabilityZone"]] = Decimal(row["SpotPrice"])
    return prices


def spot_history(
    access: Access, region: str, types: Sequence[str], start: datetime, end: datetime
) -> list[SpotChange]:
    """How the spot prices of some types moved in a region's zones, oldest first.

    The price in force at ``start`` is among them: EC2 tells the last change before it, too. It
    remembers 90 days (docs.aws.amazon.com/AWSEC2/latest/APIReference/
    API_DescribeSpotPriceHistory.html).
    """
    with access.guard("reading the history of spot prices", region):
        client = access.client("ec2", region)
        pages = client.get_paginator("describe_spot_price_history").paginate(
            StartTime=start, EndTime=end, InstanceTypes=list(types), **_SPOT
        )
        rows = [row for page in pages for row in page["SpotPriceHistory"]]
    found = [
        SpotChange(
            row["InstanceType"],
            row["AvailabilityZone"],
            row["Timestamp"].astimezone(UTC),
            Decimal(row["SpotPrice"]),
        )
        for row in rows
        if _is_zone(row["AvailabilityZone"], region)
    ]
    return sorted(found, key=lambda change: change.since)


def on_demand_prices(access: Access, region: str) -> dict[str, Decimal]:
    """Machine type -> USD an hour of Linux on shared hardware."""
    filters = {**_PRICE_FILTERS, "regionCode": region}
    with access.guard("reading the price list", region):
        client = access.client("pricing", pricing_region(region))
        pages = client.get_paginator("get_products").paginate(
            ServiceCode="AmazonEC2",
            Filters=[
                {"Type": "TERM_MATCH", "Field": field, "Value": value}
                for field, value in filters.items()
            ],
        )
        products = [json.loads(product) for page in pages for product in page["PriceList"]]
    return dict(filter(None, map(_price, products)))


def pricing_region(region: str) -> str:
    """The nearest of the three regions that have the Pricing API."""
    near = {"eu": "eu-central-1", "me": "eu-central-1", "af": "eu-central-1", "ap": "ap-south-1"}
    return near.get(region.partition("-")[0], "us-east-1")


def _price(product: Mapping[str, Any]) -> tuple[str, Decimal] | None:
    name = product["product"]["attributes"].get("instanceType")
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            price = Decimal(dimension["pricePerUnit"].get("USD", "0"))
            if name and price and dimension.get("unit") == "Hrs":
                return name, price.normalize()
    return None


def _types(access: Access, region: str) -> list[MachineType]:
    with access.guard("reading the instance types", region):
        client = access.client("ec2", region)
        pages = client.get_paginator("describe_instance_types").paginate()
        described = [item for page in pages for item in page["InstanceTypes"]]
    return [found for found in map(machine_type, described) if found]


def _zones(access: Access, region: str) -> dict[str, list[str]]:
    """Machine type -> names of the zones where it is offered, Local and Wavelength Zones apart."""
    with access.guard("reading where instance types are offered", region):
        client = access.client("ec2", region)
        pages = client.get_paginator("describe_instance_type_offerings").paginate(
            LocationType="availability-zone"
        )
        rows = [row for page in pages for row in page["InstanceTypeOfferings"]]
    zones: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if _is_zone(row["Location"], region):
            zones[row["InstanceType"]].append(row["Location"])
    return zones


def _is_zone(name: str, region: str) -> bool:
    # us-east-1a is a zone; us-east-1-bos-1a and us-east-1-wl1-bos-wlz-1 are not what we mean.
    return re.fullmatch(re.escape(region) + "[a-z]", name) is not None


def _assembled(
    region: str,
    at: datetime,
    types: Iterable[MachineType],
    zones: Mapping[str, Sequence[str]],
    prices: Future[dict[str, Decimal]],
    spot: Future[SpotPrices],
) -> LiveRegion:
    problems: list[DstackError] = []
    listed, by_zone = _or_empty(prices, problems), _or_empty(spot, problems)
    offered = [machine for machine in types if zones.get(machine.name)]
    places = [
        Place(
            machine.name,
            region,
            tuple(sorted(zones[machine.name])),
            (listed or {}).get(machine.name),
            tuple(
                (zone, price)
                for zone, price in (by_zone or {}).get(machine.name, {}).items()
                if zone in zones[machine.name]
            ),
        )
        for machine in offered
    ]
    return LiveRegion(
        region, at, offered, places, listed is not None, by_zone is not None, problems
    )


def _or_empty(reading: Future[_T], problems: list[DstackError]) -> _T | None:
    try:
        return reading.result()
    except (AccessError, TryAgainError) as error:
        problems.append(error)
        return None
