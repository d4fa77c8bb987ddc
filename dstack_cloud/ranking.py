"""Spot offers by what an hour of useful work is expected to cost, zone by zone. Pure.

    expected = price × (1 + dearer) × (1 + interruptions × restart)

- ``price`` is the zone's spot price now, USD an hour.
- ``dearer`` is by how much more than now the zone cost on average over the last days (time above
  today's price counts, time below does not): a price that is low for a moment is expected to go
  back up, one that moves a lot costs more than it seems, and one that is steady costs what it says.
- ``interruptions`` are those expected in an hour of a machine there: the own runs' interruptions
  over their machine hours in that zone and type, mixed with an assumed rate of one in two days that
  weighs as much as a day of own experience. AWS publishes no rate by zone; two days is between what
  it says of the calmest types (below 5 % a month) and what scarce GPUs are like.
- ``restart`` are the hours that an interruption costs: a boot, the image, the artifacts back, and
  the work since the last sync. A machine that restarts is paid for and does nothing useful.

It is a ranking, not a forecast: it decides between zones and types whose prices are alike. On
demand nothing is interrupted and the price does not move, so there the price is the cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from dstack_cloud.resources import Offer, ZonePrice

MARGIN = Decimal("0.25")
"""Of spot offers asked for together the cloud picks one: none is expected to cost more than this
share above the best."""

HISTORY = timedelta(days=3)
RESTART_H = 0.1
_ASSUMED_RATE = 1 / 48
_ASSUMED_WEIGHT_H = 24.0

Pool = tuple[str, str, str]
"""Region, zone, machine type."""

Prices = Sequence[tuple[datetime, Decimal]]
"""The prices of a pool, each in force from its moment on, oldest first."""


@dataclass(frozen=True)
class Spell:
    """One spot machine's time in own runs, and whether the cloud ended it."""

    pool: Pool
    hours: float
    interrupted: bool


@dataclass(frozen=True)
class Experience:
    """What is known beside today's prices; nothing is, where it could not be read."""

    prices: Mapping[Pool, Prices] = field(default_factory=dict)
    spells: Sequence[Spell] = ()


@dataclass(frozen=True)
class Reckoning:
    """How a pool's expected cost comes about; see the module. ``hours`` and ``interrupted`` are
    the own runs' there; ``history`` is False where past prices are not known."""

    pool: Pool
    price: Decimal
    dearer: float
    hours: float
    interrupted: int
    rate: float
    expected: Decimal
    history: bool


def reckon(offer: Offer, known: Experience, now: datetime) -> list[Reckoning]:
    """The reckoning of a spot offer's zones, best first; zones of unknown price are left out."""
    found = []
    for zone in offer.zones:
        if not offer.spot or zone.price is None:
            continue
        pool = (offer.region, zone.zone, offer.machine)
        mine = [spell for spell in known.spells if spell.pool == pool]
        hours = sum(spell.hours for spell in mine)
        interrupted = sum(spell.interrupted for spell in mine)
        rate = (interrupted + _ASSUMED_RATE * _ASSUMED_WEIGHT_H) / (hours + _ASSUMED_WEIGHT_H)
        prices = known.prices.get(pool, ())
        dearer = _dearer(prices, zone.price, now)
        factor = (1 + dearer) * (1 + rate * RESTART_H)
        expected = zone.price * Decimal(f"{factor:.6f}")
        found.append(
            Reckoning(pool, zone.price, dearer, hours, interrupted, rate, expected, bool(prices))
        )
    return sorted(found, key=lambda one: (one.expected, one.pool))


def ranked(offers: Iterable[Offer], known: Experience, now: datetime) -> list[Offer]:
    """Spot offers by expected cost, the best zone deciding, then all others in their order."""
    spot, others = [], []
    for offer in offers:
        reckoned = reckon(offer, known, now)
        if not reckoned:
            others.append(offer)
            continue
        by_zone = {one.pool[1]: one.expected for one in reckoned}
        zones = [replace(zone, expected=by_zone.get(zone.zone)) for zone in offer.zones]
        zones.sort(key=_zone_order)
        spot.append(replace(offer, zones=tuple(zones), price=zones[0].price))
    return sorted(spot, key=lambda offer: offer.zones[0].cost or Decimal(0)) + others


def banded(offers: Iterable[Offer]) -> list[list[Offer]]:
    """Spot offers cut into bands, the best first: within one, no zone is expected to cost more than
    `MARGIN` above the best. An offer may be in several, with some of its zones in each; zones of
    unknown price make up the last band."""
    pools = [(zone, offer) for offer in offers for zone in offer.zones]
    pools.sort(key=lambda pool: _zone_order(pool[0]))
    bands: list[list[tuple[ZonePrice, Offer]]] = []
    best: Decimal | None = None
    for zone, offer in pools:
        cost = zone.cost
        if not bands or (best is not None and (cost is None or cost > best * (1 + MARGIN))):
            bands.append([])
            best = cost
        bands[-1].append((zone, offer))
    return [_joined(band) for band in bands]


def _joined(band: Iterable[tuple[ZonePrice, Offer]]) -> list[Offer]:
    """The zones of a band under their offers again."""
    zones: dict[tuple[str, str], list[ZonePrice]] = {}
    offers: dict[tuple[str, str], Offer] = {}
    for zone, offer in band:
        place = (offer.region, offer.machine)
        offers.setdefault(place, offer)
        zones.setdefault(place, []).append(zone)
    return [
        replace(offer, zones=tuple(zones[place]), price=zones[place][0].price)
        for place, offer in offers.items()
    ]


def _zone_order(zone: ZonePrice) -> tuple[bool, Decimal, str]:
    return (zone.cost is None, zone.cost or Decimal(0), zone.zone)


def _dearer(prices: Prices, price: Decimal, now: datetime) -> float:
    """By what share of today's price the pool was dearer, on average over the last days."""
    start = now - HISTORY
    points = [point for point in prices if point[0] < now]
    seconds = weight = 0.0
    ends = [*(at for at, _ in points[1:]), now]
    for (since, past), until in zip(points, ends, strict=False):
        length = (until - max(since, start)).total_seconds()
        if length > 0:
            seconds += length
            weight += length * max(float(past - price), 0.0)
    return weight / seconds / float(price) if seconds and price else 0.0
