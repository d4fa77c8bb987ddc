"""What a run cost, and what it would have cost on demand: intervals times prices.

A machine's bill has four parts: the machine, its disk, its public address, and what the product
itself moves out of a region on its behalf (an estimate, see `dstack_cloud.transfer`). AWS bills the
first three by the second with a minimum of 60 s (https://aws.amazon.com/ec2/pricing/on-demand/,
https://aws.amazon.com/ebs/pricing/); so does Google Cloud
(https://cloud.google.com/compute/vm-instance-pricing). A spot machine pays the price in effect at
each moment ("you pay the Spot price that's in effect, billed to the nearest second":
https://docs.aws.amazon.com/whitepapers/latest/cost-optimization-leveraging-ec2-spot-instances/how-spot-instances-work.html),
never more than on demand unless it bid more.

Not applied: a Linux spot machine that AWS takes back in its first hour is free
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/billing-for-interrupted-spot-instances.html).
Who ended a machine is not always on record, so such an attempt is counted in full: the real bill
may be lower. Neither counted: what the container itself sends to the internet, what users download
from a store (`logs` and `artifacts download` of a run that has ended), requests to a store, and
what it keeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

MINIMUM_S = {"aws": 60, "gcp": 60}

_HOUR_MICROSECONDS = Decimal(3_600_000_000)
_CENT_OF_A_CENT = Decimal("0.0001")


@dataclass(frozen=True)
class Rates:
    """USD an hour of a machine's parts; None where a price is not known."""

    machine: Decimal | None
    disk: Decimal | None = Decimal(0)
    address: Decimal | None = Decimal(0)

    @property
    def total(self) -> Decimal | None:
        """All parts together; None where one is not known."""
        if self.machine is None or self.disk is None or self.address is None:
            return None
        return self.machine + self.disk + self.address

    def times(self, number: int) -> Rates:
        """Those of so many machines."""
        prices = (self.machine, self.disk, self.address)
        return Rates(*(None if price is None else price * number for price in prices))


@dataclass(frozen=True)
class Interval:
    """One machine's time on the bill, from launch to end.

    ``rates`` are those recorded at the launch, ``on_demand`` those of the same machine on demand,
    where its address may cost more, too. ``moves`` are the spot prices in force, oldest first,
    each from its moment on: where they reach back to the start they replace the recorded price.
    ``transfer`` is USD for what was moved meanwhile, which costs the same on demand.
    """

    cloud: str
    start: datetime
    end: datetime
    rates: Rates
    on_demand: Rates
    moves: tuple[tuple[datetime, Decimal], ...] = ()
    transfer: Decimal | None = Decimal(0)


@dataclass(frozen=True)
class Cost:
    """USD, to a hundredth of a cent; None where a price is not known.

    ``on_demand`` is what the same time would have cost on demand; ``machine``, ``disk``,
    ``address`` and ``transfer`` are the parts of ``cost``.
    """

    cost: Decimal | None
    on_demand: Decimal | None
    machine: Decimal | None = None
    disk: Decimal | None = None
    address: Decimal | None = None
    transfer: Decimal | None = None

    @property
    def saving(self) -> Decimal | None:
        """Share saved against on demand, 0 to 1 (below 0 if it cost more); None if not known."""
        if self.cost is None or not self.on_demand:
            return None
        return 1 - self.cost / self.on_demand


NOTHING = Cost(*[Decimal(0)] * 6)
"""The bill of what was never had."""


def cost_of(intervals: Iterable[Interval]) -> Cost:
    """The sum over all machines of a run. One price that is not known makes its sum unknown."""
    machine: Decimal | None = Decimal(0)
    disk: Decimal | None = Decimal(0)
    address: Decimal | None = Decimal(0)
    transfer: Decimal | None = Decimal(0)
    listed: Decimal | None = Decimal(0)
    for interval in intervals:
        hours = _hours(billed(interval.cloud, interval.end - interval.start))
        machine = _sum(machine, _machine(interval))
        disk = _sum(disk, _times(interval.rates.disk, hours))
        address = _sum(address, _times(interval.rates.address, hours))
        transfer = _sum(transfer, interval.transfer)
        listed = _sum(listed, _times(interval.on_demand.total, hours))
    return Cost(
        _rounded(_sum(_sum(machine, transfer), _sum(disk, address))),
        _rounded(_sum(listed, transfer)),
        _rounded(machine),
        _rounded(disk),
        _rounded(address),
        _rounded(transfer),
    )


def total(costs: Iterable[Cost]) -> Cost:
    """The sum of several bills, part by part; what is unknown in one is unknown in the sum."""
    found = NOTHING
    for one in costs:
        found = Cost(
            _sum(found.cost, one.cost),
            _sum(found.on_demand, one.on_demand),
            _sum(found.machine, one.machine),
            _sum(found.disk, one.disk),
            _sum(found.address, one.address),
            _sum(found.transfer, one.transfer),
        )
    return found


def billed(cloud: str, time: timedelta) -> timedelta:
    """The time that a cloud bills for a machine that was there for ``time``."""
    return max(time, timedelta(seconds=MINIMUM_S.get(cloud, 0)))


def seconds_for(budget: Decimal, price: Decimal) -> int | None:
    """Whole seconds that ``budget`` USD buy at ``price`` USD an hour; None if it costs nothing."""
    return int(budget * 3600 / price) if price else None


def least_cost(cloud: str, price: Decimal) -> Decimal:
    """USD of the shortest time that the cloud bills, at ``price`` USD an hour."""
    return price * MINIMUM_S.get(cloud, 0) / 3600


def remaining(budget: Decimal, spent: Iterable[Decimal | None]) -> Decimal | None:
    """What earlier attempts left of a budget, not below 0; None where one's cost is unknown."""
    left: Decimal | None = budget
    for amount in spent:
        left = None if left is None or amount is None else left - amount
    return None if left is None else max(left, Decimal(0))


def _machine(interval: Interval) -> Decimal | None:
    time = billed(interval.cloud, interval.end - interval.start)
    moves = _in_force(interval.moves, interval.start)
    if not moves:
        return _times(interval.rates.machine, _hours(time))
    end = interval.start + time
    bounds = [*(since for since, _ in moves[1:] if since < end), end]
    amount, since = Decimal(0), interval.start
    for (_, price), until in zip(moves, bounds, strict=False):
        amount += price * _hours(until - since)
        since = until
    return amount


def _in_force(
    moves: Sequence[tuple[datetime, Decimal]], start: datetime
) -> list[tuple[datetime, Decimal]]:
    """The move in force at ``start`` and those after it; none if no move reaches back to it."""
    before = [move for move in moves if move[0] <= start]
    return [before[-1], *(move for move in moves if move[0] > start)] if before else []


def _hours(time: timedelta) -> Decimal:
    return Decimal(time // timedelta(microseconds=1)) / _HOUR_MICROSECONDS


def _times(price: Decimal | None, hours: Decimal) -> Decimal | None:
    return None if price is None else price * hours


def _sum(first: Decimal | None, second: Decimal | None) -> Decimal | None:
    return None if first is None or second is None else first + second


def _rounded(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else amount.quantize(_CENT_OF_A_CENT, ROUND_HALF_UP)
