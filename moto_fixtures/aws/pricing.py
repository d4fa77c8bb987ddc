"""The Pricing API's GetProducts for AmazonEC2, over the emulated price table.

docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any

from moto_fixtures.aws.answer import Answer, AwsError
from moto_fixtures.aws.ec2 import offerings
from moto_fixtures.aws.paging import Listings, page_token, read_page
from moto_fixtures.aws.prices import on_demand, plain
from moto_fixtures.aws.request import Request

ENDPOINT_REGIONS = {"us-east-1", "eu-central-1", "ap-south-1"}

# What else the real service lists for each type, so that a client that filters too little is
# seen to: (operating system, tenancy, capacity status, software, factor of the price).
_VARIANTS = (
    ("Linux", "Shared", "Used", "NA", "1"),
    ("Windows", "Shared", "Used", "NA", "1.9"),
    ("Linux", "Shared", "Used", "SQL Std", "3.5"),
    ("Linux", "Dedicated", "Used", "NA", "1.06"),
    ("Linux", "Shared", "UnusedCapacityReservation", "NA", "1"),
    ("Linux", "Shared", "AllocatedCapacityReservation", "NA", "0"),
)


@cache
def _locations() -> dict[str, str]:
    from botocore.loaders import Loader

    regions = Loader().load_data("endpoints")["partitions"][0]["regions"]
    return {name: data["description"].replace("Europe", "EU") for name, data in regions.items()}


def _location(region: str) -> str:
    """The region's name as the price list spells it."""
    return _locations().get(region, region)


def product(region: str, name: str, variant: tuple[str, str, str, str, str]) -> dict[str, Any]:
    """One item of PriceList, as the service nests it."""
    system, tenancy, capacity, software, factor = variant
    info = offerings.type_info(name)
    count, _ = offerings.gpus(name)
    usage = {
        "Used": "BoxUsage" if tenancy == "Shared" else "DedicatedUsage",
        "UnusedCapacityReservation": "UnusedBox",
        "AllocatedCapacityReservation": "Reservation",
    }[capacity]
    attributes = {
        "servicecode": "AmazonEC2",
        "servicename": "Amazon Elastic Compute Cloud",
        "location": _location(region),
        "locationType": "AWS Region",
        "regionCode": region,
        "instanceType": name,
        "instanceFamily": "GPU instance" if count else "General purpose",
        "vcpu": str(offerings.vcpus(name)),
        "memory": f"{int(info['MemoryInfo']['SizeInMiB']) / 1024:g} GiB",
        "operatingSystem": system,
        "licenseModel": "No License required",
        "tenancy": tenancy,
        "capacitystatus": capacity,
        "preInstalledSw": software,
        "marketoption": "OnDemand",
        "usagetype": f"{usage}:{name}",
        "operation": "RunInstances" if system == "Linux" else "RunInstances:0002",
    }
    if count:
        attributes["gpu"] = str(count)
    sku = hashlib.sha256("/".join((region, name, *variant)).encode()).hexdigest()[:16].upper()
    term = f"{sku}.JRTCKXETXF"
    price = on_demand(region, name) * Decimal(factor)
    dimension = {
        "unit": "Hrs",
        "beginRange": "0",
        "endRange": "Inf",
        "appliesTo": [],
        "rateCode": f"{term}.6YS6EN2CT7",
        "description": f"${plain(price)} per On Demand {system} {name} Instance Hour",
        "pricePerUnit": {"USD": f"{price:.10f}"},
    }
    return {
        "product": {"productFamily": "Compute Instance", "attributes": attributes, "sku": sku},
        "serviceCode": "AmazonEC2",
        "terms": {
            "OnDemand": {
                term: {
                    "priceDimensions": {dimension["rateCode"]: dimension},
                    "sku": sku,
                    "effectiveDate": "2026-11-01T00:00:00Z",
                    "offerTermCode": "JRTCKXETXF",
                    "termAttributes": {},
                }
            }
        },
        "version": "emulated",
        "publicationDate": "2026-11-01T00:00:00Z",
    }


def _holds(item: dict[str, Any], filters: list[dict[str, str]]) -> bool:
    attributes = {k.lower(): v for k, v in item["product"]["attributes"].items()}
    attributes["productfamily"] = item["product"]["productFamily"]
    attributes["sku"] = item["product"]["sku"]
    for f in filters:
        value, wanted = attributes.get(f["Field"].lower()), f["Value"]
        how = f.get("Type", "TERM_MATCH")
        if how in ("TERM_MATCH", "EQUALS"):
            good = value is not None and value.lower() == wanted.lower()
        elif how == "CONTAINS":
            good = value is not None and wanted.lower() in value.lower()
        elif how in ("ANY_OF", "NONE_OF"):
            among = value in [w.strip() for w in wanted.split(",")]
            good = among == (how == "ANY_OF")
        else:
            raise AwsError("InvalidParameterException", f"Invalid filter type {how}")
        if not good:
            return False
    return True


def _matching(filters: list[dict[str, str]]) -> Iterator[dict[str, Any]]:
    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

    given = {f["Field"].lower(): f["Value"] for f in filters if f.get("Type") != "NONE_OF"}
    regions = sorted(INSTANCE_TYPE_OFFERINGS["region"])
    for region in regions:
        # The two usual filters first: the rest is built for what they leave.
        if given.get("regioncode", region) != region:
            continue
        if given.get("location", _location(region)).lower() != _location(region).lower():
            continue
        for name in offerings.offered(region):
            if given.get("instancetype", name).lower() != name:
                continue
            for variant in _VARIANTS:
                item = product(region, name, variant)
                if _holds(item, filters):
                    yield item


_LISTINGS: Listings[str] = Listings()


def get_products(request: Request) -> Answer:
    """A page of at most 100 products, each a JSON text."""
    params = request.params
    if request.region not in ENDPOINT_REGIONS:
        raise AwsError("UnknownEndpoint", f"there is no Pricing endpoint in {request.region}")
    if params.get("ServiceCode") != "AmazonEC2":
        raise AwsError("NotFoundException", "the emulated Pricing API lists AmazonEC2 only")
    size = int(params.get("MaxResults") or 100)
    if not 1 <= size <= 100:
        raise AwsError("InvalidParameterException", "MaxResults is from 1 to 100")
    start = read_page(params.get("NextToken"), "InvalidNextTokenException")
    filters = params.get("Filters") or []
    found, more = _LISTINGS.page(
        json.dumps(filters), lambda: map(json.dumps, _matching(filters)), start, size
    )
    page: dict[str, Any] = {"FormatVersion": "aws_v1", "PriceList": found}
    if more:
        page["NextToken"] = page_token(start + size)
    return request.answer(page)


HANDLERS = {"GetProducts": get_products}
