"""`max_cost`, kept by the machine itself: what it has cost so far, at prices that move.

The bill is time times the prices of machine, disk and public address, and what was moved between
regions. A spot price that moves is read from the cloud where the machine's role may do so, and told
in the status, with a budget or without; else the price at the launch stands.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from .cloud import Cloud
from .errors import StoreError
from .note import note
from .status import Status
from .times import text, unix, uptime

# Machines are billed by the second, and for this long at least.
_LEAST = 60.0
_EVERY, _PRICES = 1.0, 300.0
# Without a budget the prices are only for the bill.
_UNLIMITED = 1800.0
_GIB = 1 << 30
# A price for each half hour of two weeks; older ones go first.
_MOST_PRICES = 700
# After the grace period: the last copy and the end's record.
_SAVING = 30.0

Prices = Sequence[tuple[float, Decimal]]


def spent(prices: Prices, other: Decimal, seconds: float) -> Decimal:
    """USD for a machine that is ``seconds`` old. ``prices``: USD an hour, each with the age at
    which it came into force, the earliest first; ``other`` is USD an hour, too. Pure."""
    seconds = max(seconds, _LEAST)
    total = other * Decimal(seconds)
    for number, (begin, price) in enumerate(prices):
        end = prices[number + 1][0] if number + 1 < len(prices) else seconds
        # The first price counts from the start, the last one to the end.
        begin = max(0.0, begin) if number else 0.0
        total += price * Decimal(max(0.0, min(end, seconds) - begin))
    return total / 3600


def age_at_start(job: Mapping[str, Any], started_at: str, clock: float) -> float:
    """How old the machine is now, in seconds: by its record, but not older than the system is up,
    as far as clocks that differ can tell. ``started_at`` is when the agent began."""
    began = max(0.0, clock - unix(started_at))
    launched = job["machine_record"].get("launched_at")
    if not launched:
        return began
    return max(began, min(clock - unix(launched), uptime() + _LEAST))


def moved(prices: Mapping[str, str], traffic: Mapping[str, Any], log_bytes: int) -> Decimal:
    """USD for what went to the store and came from it, and for the log, followed once. ``prices``
    are USD a GiB. Pure."""
    amounts = {"log": log_bytes, **{key: traffic.get(key) or 0 for key in ("sent", "received")}}
    return sum(
        (Decimal(prices.get(key) or 0) * amount / _GIB for key, amount in amounts.items()),
        Decimal(0),
    )


class Budget:
    """``run`` asks for the end in time for the grace period to be paid, too."""

    def __init__(
        self,
        job: Mapping[str, Any],
        cloud: Cloud,
        status: Status,
        started_at: str,
        reached: Callable[[], None],
    ) -> None:
        self._job = job
        self._cloud = cloud
        self._status = status
        self._limit = None if job["max_cost"] is None else Decimal(job["max_cost"])
        price, machine = Decimal(job["price"] or 0), job["machine_record"].get("price")
        # What does not move with the spot price.
        self._other = max(Decimal(0), price - Decimal(machine)) if machine else Decimal(0)
        self._reached = reached
        self._age = age_at_start(job, started_at, time.time())
        self._begun = time.monotonic()
        self._prices: Prices = [(0.0, price - self._other)]
        self._asked = float("-inf")

    def run(self, over: threading.Event) -> None:
        """Look every second; ends with the budget, or when it is over."""
        reserve = Decimal(self._job["grace"] + _SAVING)
        while True:
            self._follow()
            if self._limit is None:
                if over.wait(_UNLIMITED):
                    return
                continue
            rate = self._prices[-1][1] + self._other
            seconds = self._age + time.monotonic() - self._begun
            bill = spent(self._prices, self._other, seconds) + self._moved()
            if bill + rate * reserve / 3600 >= self._limit:
                self._reached()
                return
            if over.wait(_EVERY):
                return

    def _moved(self) -> Decimal:
        traffic, log_bytes = self._status.get("traffic"), self._status.get("log_bytes")
        return moved(self._job.get("transfer") or {}, traffic, log_bytes)

    def _follow(self) -> None:
        record = self._job["machine_record"]
        moment = time.monotonic()
        if not record.get("spot") or not record.get("launched_at"):
            return
        if moment - self._asked < _PRICES:
            return
        self._asked = moment
        launched = unix(record["launched_at"])
        try:
            found = self._cloud.spot_prices(launched)
        except StoreError as error:
            note(f"spot price: {error}")
            return
        if found:
            self._prices = [(when - launched, price) for when, price in found]
            told = [[text(when), str(price)] for when, price in found]
            # The first is the one in force at the launch.
            self._status.update(prices=[told[0], *told[1:][-_MOST_PRICES:]])
