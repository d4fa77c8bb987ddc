"""What a run cost, and what it would have cost on demand: intervals times prices.

AWS bills Linux machines by the second with a minimum of 60 s
(https://aws.amazon.com/ec2/pricing/on-demand/); so does Google Cloud
(https://cloud.google.com/compute/vm-instance-pricing).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

MINIMUM_S = {"aws": 60, "gcp": 60}

_HOUR_MICROSECONDS = Decimal(3_600_000_000)
_CENT_OF_A_CENT = Decimal("0.0001")


@dataclass(frozen=True)
class Interval:
    """One machine's time on the bill, from launch to end; prices are USD an hour."""

    cloud: str
    start: datetime
    end: datetime
    price: Decimal | None
    on_demand: Decimal | None


@dataclass(frozen=True)
class Cost:
    """USD, to a hundredth of a cent; None where a price is not known.

    ``on_demand`` is what the same time would have cost on demand.
    """

    cost: Decimal | None
    on_demand: Decimal | None

    @property
    def saving(self) -> Decimal | None:
        """Share saved against on demand, 0 to 1 (below 0 if it cost more); None if not known."""
        if self.cost is None or not self.on_demand:
            return None
        return 1 - self.cost / self.on_demand


def cost_of(intervals: Iterable[Interval]) -> Cost:
    """The sum over all machines of a run. One price that is not known makes its sum unknown."""
    cost: Decimal | None = Decimal(0)
    on_demand: Decimal | None = Decimal(0)
    for interval in intervals:
        time = billed(interval.cloud, interval.end - interval.start)
        hours = Decimal(time // timedelta(microseconds=1)) / _HOUR_MICROSECONDS
        cost = _add(cost, interval.price, hours)
        on_demand = _add(on_demand, interval.on_demand, hours)
    return Cost(_rounded(cost), _rounded(on_demand))


def billed(cloud: str, time: timedelta) -> timedelta:
    """The time that a cloud bills for a machine that was there for ``time``."""
    return max(time, timedelta(seconds=MINIMUM_S.get(cloud, 0)))


def seconds_for(budget: Decimal, price: Decimal) -> int | None:
    """Whole seconds that ``budget`` USD buy at ``price`` USD an hour; None if it costs nothing."""
    return int(budget * 3600 / price) if price else None


def _add(total: Decimal | None, price: Decimal | None, hours: Decimal) -> Decimal | None:
    return None if total is None or price is None else total + price * hours


def _rounded(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else amount.quantize(_CENT_OF_A_CENT, ROUND_HALF_UP)
