"""The Cloud Billing catalog of the emulated Compute Engine: SKUs in their real shape and words.

Shape: cloud.google.com/billing/docs/reference/rest/v1/services.skus/list. The prices are emulated:
near to what Google published at some time for Iowa, other regions by a factor, spot by a share.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple
from zlib import crc32

SERVICE = "6F81-5844-456A"
_EFFECTIVE = "2026-11-01T00:00:00Z"


class Area(NamedTuple):
    """Regions that one SKU covers: how its words name them, and their prices' factor."""

    words: str
    regions: tuple[str, ...]
    factor: str
    spot: str


AREAS = (
    Area("Americas", ("us-central1", "us-east1", "us-west1"), "1", "0.30"),
    Area("Virginia", ("us-east4",), "1.126", "0.33"),
    Area("Belgium", ("europe-west1",), "1.1", "0.28"),
    Area("Netherlands", ("europe-west4",), "1.101", "0.31"),
    Area("Singapore", ("asia-southeast1",), "1.234", "0.36"),
)

# Words, group of cores, group of memory, USD an hour of a core and of a GiB in Iowa.
_SERIES = (
    ("E2", "CPU", "RAM", "0.02181159", "0.00292353"),
    ("N1 Predefined", "N1Standard", "N1Standard", "0.031611", "0.004237"),
    ("N2", "CPU", "RAM", "0.031611", "0.004237"),
    ("N2D AMD", "CPU", "RAM", "0.027502", "0.003686"),
    ("C3", "CPU", "RAM", "0.03465", "0.003938"),
    ("T2A Arm", "CPU", "RAM", "0.0287", "0.0026"),
    ("G2", "CPU", "RAM", "0.024988", "0.002927"),
    ("A2", "CPU", "RAM", "0.031611", "0.004237"),
    ("A3", "CPU", "RAM", "0.02928", "0.0018"),
    ("A3Plus", "CPU", "RAM", "0.02928", "0.0018"),
    # What a machine type of ours must not be priced by.
    ("N2 Custom", "CPU", "RAM", "0.033174", "0.004446"),
    ("N2D AMD Custom", "CPU", "RAM", "0.028877", "0.00387"),
    ("Custom", "CPU", "RAM", "0.033174", "0.004446"),
)
_GPUS = (
    ("Nvidia Tesla T4 GPU", "0.35"),
    ("Nvidia Tesla P4 GPU", "0.60"),
    ("Nvidia Tesla V100 GPU", "2.48"),
    ("Nvidia Tesla P100 GPU", "1.46"),
    ("Nvidia L4 GPU", "0.56004"),
    ("Nvidia Tesla A100 GPU", "2.933908"),
    ("Nvidia Tesla A100 80GB GPU", "3.92808"),
    ("Nvidia H100 80GB GPU", "9.796556"),
    ("Nvidia H100 80GB Mega GPU", "10.32"),
)
_SHARED = (
    ("Micro Instance with burstable CPU", "F1Micro", "0.0076"),
    ("Small Instance with 1 VCPU", "G1Small", "0.0257"),
)
# A 375 GB disk is billed by GiB and month, on demand and on spot machines.
_LOCAL_SSD = Decimal("0.08")


def _sku(
    description: str,
    group: str,
    usage: str,
    area: Area,
    price: Decimal,
    *,
    family: str = "Compute",
    unit: str = "h",
) -> dict[str, Any]:
    digits = f"{crc32(description.encode()):08X}{crc32(description.encode()[::-1]):08X}"[:12]
    sku_id = f"{digits[:4]}-{digits[4:8]}-{digits[8:]}"
    units, nanos = divmod(int(price * 10**9), 10**9)
    words, base, factor = {
        "h": ("hour", "s", 3600),
        "GiBy.h": ("gibibyte hour", "By.s", 3865470566400),
        "GiBy.mo": ("gibibyte month", "By.s", 2821793513472000),
    }[unit]
    return {
        "name": f"services/{SERVICE}/skus/{sku_id}",
        "skuId": sku_id,
        "description": description,
        "category": {
            "serviceDisplayName": "Compute Engine",
            "resourceFamily": family,
            "resourceGroup": group,
            "usageType": usage,
        },
        "serviceRegions": list(area.regions),
        "pricingInfo": [
            {
                "summary": "",
                "pricingExpression": {
                    "usageUnit": unit,
                    "displayQuantity": 1,
                    "tieredRates": [
                        {
                            "startUsageAmount": 0,
                            "unitPrice": {
                                "currencyCode": "USD",
                                "units": str(units),
                                "nanos": nanos,
                            },
                        }
                    ],
                    "usageUnitDescription": words,
                    "baseUnit": base,
                    "baseUnitDescription": {"s": "second", "By.s": "byte second"}[base],
                    "baseUnitConversionFactor": factor,
                },
                "currencyConversionRate": 1,
                "effectiveTime": _EFFECTIVE,
            }
        ],
        "serviceProviderName": "Google",
        "geoTaxonomy": {
            "type": "REGIONAL" if len(area.regions) == 1 else "MULTI_REGIONAL",
            "regions": list(area.regions),
        },
    }


def _of(area: Area) -> Iterator[dict[str, Any]]:
    factor, spot = Decimal(area.factor), Decimal(area.spot)
    place = f"running in {area.words}"
    for words, cores, memory, core, gib in _SERIES:
        parts = (("Core", cores, core, "h"), ("Ram", memory, gib, "GiBy.h"))
        for part, group, price, unit in parts:
            name, full = f"{words} Instance {part} {place}", Decimal(price) * factor
            yield _sku(name, group, "OnDemand", area, full, unit=unit)
            yield _sku(
                f"Spot Preemptible {name}", group, "Preemptible", area, full * spot, unit=unit
            )
    for words, group, price in _SHARED:
        name, full = f"{words} {place}", Decimal(price) * factor
        yield _sku(name, group, "OnDemand", area, full)
        yield _sku(f"Spot Preemptible {name}", group, "Preemptible", area, full * spot)
    for words, price in _GPUS:
        full = Decimal(price) * factor
        yield _sku(f"{words} {place}", "GPU", "OnDemand", area, full)
        attached = f"{words} attached to Spot Preemptible VMs {place}"
        yield _sku(attached, "GPU", "Preemptible", area, full * spot)
        yield _sku(f"Commitment v1: {words} {place} for 1 Year", "GPU", "Commit1Yr", area, full / 2)
    yield from _others(area, factor, spot)


def _others(area: Area, factor: Decimal, spot: Decimal) -> Iterator[dict[str, Any]]:
    """Local disks; and what stands beside the SKUs of machines and is none of theirs."""
    place = f"in {area.words}"
    disk = {"family": "Storage", "unit": "GiBy.mo"}
    local, full = "SSD backed Local Storage", _LOCAL_SSD * factor
    yield _sku(f"{local} {place}", "LocalSSD", "OnDemand", area, full, **disk)
    attached = f"{local} attached to Spot Preemptible VMs {place}"
    yield _sku(attached, "LocalSSD", "Preemptible", area, full * spot, **disk)
    balanced = f"Balanced PD Capacity {place}"
    yield _sku(balanced, "SSD", "OnDemand", area, Decimal("0.1") * factor, **disk)
    for words, group, price in (("Core", "CPU", "0.03319155"), ("Ram", "RAM", "0.00444885")):
        unit = "h" if words == "Core" else "GiBy.h"
        name = f"N2 Sole Tenancy Instance {words} running {place}"
        yield _sku(name, group, "OnDemand", area, Decimal(price) * factor, unit=unit)
    yield _sku(f"Reserved A2 Instance Core {place}", "CPU", "OnDemand", area, Decimal("0.03"))


@cache
def skus() -> tuple[dict[str, Any], ...]:
    """Every SKU, by its ID as the real list has no other order either."""
    found = [sku for area in AREAS for sku in _of(area)]
    return tuple(sorted(found, key=lambda sku: str(sku["skuId"])))
