"""Google's price list: from SKUs to the price of a machine. Pure.

A machine is billed by its parts: cores, GiB of memory, GPUs, local disks. Which SKU is a part's
price can only be told from its description; those of other ways to buy (commitments, reservations,
sole tenancy, custom shapes, flex-start) are worded otherwise and are not read. Shape:
cloud.google.com/billing/docs/reference/rest/v1/services.skus/list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from dstack_cloud.catalog.models import NANO
from dstack_cloud.catalog.specs_gcp import LOCAL_DISK_GIB, Bill

HOURS_A_MONTH = 730
"""By which Google's own pages turn a month's price of a local disk into an hour's."""

_SPOT = re.compile(r"(?:Spot )?Preemptible ")
_PART = re.compile(
    r"(?:(?P<series>\w+)(?: AMD| Arm| Predefined| Memory-optimized)? Instance"
    r"|(?P<c2>Compute optimized)(?: Instance)?|(?P<m1>Memory-optimized) Instance)"
    r" (?P<part>Core|Ram) running in .+"
)
_GPU = re.compile(
    r"(?:Nvidia )?(?:Tesla )?(?P<gpu>\w[\w ]*?)(?: GPU)?"
    r" (?:running|attached to Spot Preemptible VMs running) in .+"
)
_DISK = re.compile(r"SSD backed Local Storage(?: attached to Spot Preemptible VMs)?(?: in .+)?")
_OWN_DISK = re.compile(r"(?P<series>\w+) Instance Local SSD running in .+")
# Series whose local disks are billed by the common SKU; the newer ones have SKUs of their own.
_COMMON_DISK = (
    "a2",
    "a3",
    "a3plus",
    "a3ultra",
    "c2",
    "c2d",
    "c3",
    "c3d",
    "g2",
    "m3",
    "n1",
    "n2",
    "n2d",
)
_FLAT = {"F1Micro": "f1-micro", "G1Small": "g1-small"}
_UNITS = {"h": Decimal(1), "GiBy.h": Decimal(1), "GiBy.mo": Decimal(HOURS_A_MONTH)}


class Part(NamedTuple):
    """One kind of thing that is billed: ``core``, ``ram``, ``gpu``, ``disk`` or ``flat``."""

    kind: str
    name: str


class Prices:
    """USD an hour by part, region, and whether it is spot."""

    def __init__(self) -> None:
        self._known: dict[tuple[Part, str, bool], Decimal] = {}

    def put(self, part: Part, region: str, spot: bool, price: Decimal) -> None:
        """Keep a price. Of two for the same part the dearer: no plan may promise less than the
        bill will say. (Discounted kinds have once been listed in nearly the same words.)"""
        key = (part, region, spot)
        self._known[key] = max(price, self._known.get(key, price))

    def get(self, part: Part, region: str, spot: bool) -> Decimal | None:
        """The price, None where it is not known."""
        return self._known.get((part, region, spot))

    def of(self, bill: Bill, region: str, spot: bool) -> Decimal | None:
        """USD an hour of a machine; None as soon as one part's price is not known."""
        parts: list[tuple[Decimal | int, Part]] = []
        if bill.flat:
            parts.append((1, Part("flat", bill.flat)))
        else:
            parts.append((bill.cores, Part("core", bill.series)))
            parts.append((bill.gibibytes, Part("ram", bill.series)))
        if bill.gpus:
            parts.append((bill.gpus, Part("gpu", bill.gpu or "")))
        if bill.disks:
            own = Part("disk", bill.series)
            common = Part("disk", "") if bill.series in _COMMON_DISK else own
            disk = own if self.get(own, region, spot) is not None else common
            parts.append((bill.disks * LOCAL_DISK_GIB, disk))
        total = Decimal(0)
        for amount, part in parts:
            price = self.get(part, region, spot)
            if price is None:
                return None
            total += amount * price
        return total


def read(skus: Iterable[Mapping[str, Any]]) -> Prices:
    """The prices of all the parts among ``skus``."""
    prices = Prices()
    for sku in skus:
        category = sku.get("category", {})
        usage = category.get("usageType")
        if usage not in ("OnDemand", "Preemptible"):
            continue
        part = _part(str(sku.get("description", "")), str(category.get("resourceGroup", "")))
        price = _price(sku) if part else None
        if part and price:
            for region in sku.get("serviceRegions", ()):
                prices.put(part, str(region), usage == "Preemptible", price)
    return prices


def _part(description: str, group: str) -> Part | None:
    words = _SPOT.sub("", description, count=1) if _SPOT.match(description) else description
    if group in _FLAT:
        return Part("flat", _FLAT[group])
    if group == "GPU":
        gpu = _GPU.fullmatch(words)
        return Part("gpu", gpu["gpu"].replace("Plus", "Mega")) if gpu else None
    if group == "LocalSSD":
        own = _OWN_DISK.fullmatch(words)
        if own:
            return Part("disk", own["series"].lower())
        return Part("disk", "") if _DISK.fullmatch(words) else None
    found = _PART.fullmatch(words)
    if found is None:
        return None
    series = "c2" if found["c2"] else "m1" if found["m1"] else found["series"].lower()
    return None if series == "custom" else Part(found["part"].lower(), series)


def _price(sku: Mapping[str, Any]) -> Decimal | None:
    """USD an hour of one unit; None for another currency, another unit, and 0."""
    try:
        expression = sku["pricingInfo"][-1]["pricingExpression"]
        hours = _UNITS.get(expression["usageUnit"])
        # What is free at first is a tier of its own, before the one that counts.
        unit = max(expression["tieredRates"], key=lambda rate: rate.get("startUsageAmount", 0))[
            "unitPrice"
        ]
    except (KeyError, IndexError, ValueError):
        return None
    if hours is None or unit.get("currencyCode", "USD") != "USD":
        return None
    price = Decimal(unit.get("units", "0")) + Decimal(unit.get("nanos", 0)) / NANO
    return price / hours if price else None
