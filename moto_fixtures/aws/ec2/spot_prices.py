"""Spot prices: different by type and zone, changing with time, always the same for a moment.

A test may set one; it then stays until it is set again or reset.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any
from uuid import uuid4

from moto_fixtures.aws.answer import Answer, AwsError
from moto_fixtures.aws.ec2 import offerings
from moto_fixtures.aws.ec2.xml import ec2_xml
from moto_fixtures.aws.paging import Listings, page_token, read_token
from moto_fixtures.aws.prices import on_demand, plain
from moto_fixtures.aws.request import Request
from moto_fixtures.shared.clock import Clock
from moto_fixtures.shared.shares import share

STEP = timedelta(hours=6)
HISTORY = timedelta(days=90)
"""How far back the real service remembers."""
_PRODUCT = "Linux/UNIX"


class SpotPrices:
    """USD an hour by region, zone and type."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._set: list[tuple[str, str, Decimal, datetime]] = []

    def set(self, instance_type: str, zone: str, price: Decimal) -> None:
        """Both may be patterns (``g4dn.*``, ``us-east-1?``); the latest that matches holds."""
        with self._lock:
            self._set.append((instance_type, zone, price, self._clock.now()))

    def reset(self) -> None:
        """Forget what was set."""
        with self._lock:
            self._set.clear()

    def current(self, region: str, zone: str, name: str) -> Decimal:
        """What a machine costs now."""
        return self.at(region, zone, name, self._clock.now())[0]

    def at(self, region: str, zone: str, name: str, when: datetime) -> tuple[Decimal, datetime]:
        """The price at a time, and since when it had been that."""
        with self._lock:
            for pattern, zones, price, since in reversed(self._set):
                if since <= when and fnmatchcase(name, pattern) and fnmatchcase(zone, zones):
                    return price, since
        # Every pool steps at its own minute, so that prices do not change all at once.
        lag = timedelta(seconds=share(zone, name, "lag") * STEP.total_seconds())
        step = int((when - lag).timestamp() // STEP.total_seconds())
        since = datetime.fromtimestamp(step * STEP.total_seconds(), UTC) + lag
        base = 0.28 + 0.3 * share(name, zone, "base")
        drift = 0.94 + 0.12 * share(name, zone, str(step))
        price = on_demand(region, name) * Decimal(f"{base * drift:.5f}")
        return max(price.quantize(Decimal("0.0001")), Decimal("0.0001")), since

    def now(self) -> datetime:
        return self._clock.now()


def _time(value: Any, missing: datetime) -> datetime:
    if value is None or value == "":
        return missing
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value
    parsed = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _pools(request: Request) -> Iterator[tuple[str, str]]:
    params = request.params
    filters = {f["Name"]: f.get("Values", []) for f in params.get("Filters") or []}
    unknown = set(filters) - {
        "availability-zone",
        "availability-zone-id",
        "instance-type",
        "product-description",
        "spot-price",
        "timestamp",
    }
    if unknown:
        raise AwsError("InvalidParameterValue", f"The filter '{min(unknown)}' is invalid")
    products = list(params.get("ProductDescriptions") or []) + filters.get(
        "product-description", []
    )
    if products and not any(fnmatchcase(_PRODUCT, p) for p in products):
        return
    zones = offerings.zones_of(request.region)
    wanted_zone = params.get("AvailabilityZone")
    names = set(params.get("InstanceTypes") or [])
    for name, offered in offerings.offered(request.region).items():
        if names and name not in names:
            continue
        wanted = filters.get("instance-type")
        if wanted is not None and not any(fnmatchcase(name, w) for w in wanted):
            continue
        if "spot" not in offerings.type_info(name).get("SupportedUsageClasses", []):
            continue
        for zone in offered:
            if wanted_zone and zone != wanted_zone:
                continue
            if not any(fnmatchcase(zone, w) for w in filters.get("availability-zone", ["*"])):
                continue
            ids = filters.get("availability-zone-id", ["*"])
            if any(fnmatchcase(zones[zone], w) for w in ids):
                yield name, zone


def _history(request: Request) -> Iterator[dict[str, Any]]:
    prices = request.emulator.spot_prices
    now = prices.now()
    params = request.params
    end = min(_time(params.get("EndTime"), now), now)
    start = max(min(_time(params.get("StartTime"), now - HISTORY), end), now - HISTORY)
    for name, zone in _pools(request):
        when = end
        while True:
            price, since = prices.at(request.region, zone, name, when)
            yield {
                "AvailabilityZone": zone,
                "AvailabilityZoneId": offerings.zones_of(request.region)[zone],
                "InstanceType": name,
                "ProductDescription": _PRODUCT,
                "SpotPrice": f"{plain(price)}00",
                "Timestamp": since,
            }
            # The price in force at the start is the last one told.
            if since <= start:
                break
            when = since - timedelta(seconds=1)


# Prices change: the pages of one history must all be of the moment of its first.
_LISTINGS: Listings[dict[str, Any]] = Listings()


def describe_spot_price_history(request: Request) -> Answer:
    """Newest first for each pool; a page of at most 1000."""
    size = min(int(request.params.get("MaxResults") or 1000), 1000)
    listing, start = read_token(request.params.get("NextToken"), "InvalidParameterValue")
    listing = listing or uuid4().hex
    found, more = _LISTINGS.page(listing, lambda: _history(request), start, size)
    page: dict[str, Any] = {"SpotPriceHistory": found}
    page["NextToken"] = page_token(start + size, listing) if more else ""
    return ec2_xml("DescribeSpotPriceHistory", page)


HANDLERS = {"DescribeSpotPriceHistory": describe_spot_price_history}
