"""From what was read live to the cache, and the decision when to read."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from dstack_cloud.catalog import schema
from dstack_cloud.catalog.live import LiveRegion, Source, SpotPrices
from dstack_cloud.catalog.models import Place
from dstack_cloud.catalog.query import Catalog
from dstack_cloud.resources import Offer
from dstack_cloud.units import format_time, parse_time, utc_now

LISTING_AGE = timedelta(hours=24)


def stale(catalog: Catalog, regions: Iterable[str], age: timedelta = LISTING_AGE) -> list[str]:
    """The ``regions`` that were never read live, or longer ago than ``age``."""
    limit = utc_now() - age
    fresh = {
        found.region
        for found in catalog.ages()
        if found.live_at and parse_time(found.live_at) > limit
    }
    return [region for region in regions if region not in fresh]


def refresh(catalog: Catalog, source: Source, regions: Sequence[str]) -> Iterator[LiveRegion]:
    """Read ``regions`` and keep them, each as soon as it is there; yields what was read.

    Raises errors of ours (credentials, permission, network, throttling).
    """
    for live in source.fetch(regions):
        store(catalog.database, live)
        yield live


def refresh_spot(catalog: Catalog, source: Source, offers: Iterable[Offer]) -> bool:
    """Bring the spot prices of these offers up to date, a call a region; true if any was asked.

    Prices read within ``source.spot_age`` are left as they are. Raises errors of ours as `refresh`
    does.
    """
    wanted: dict[str, set[str]] = defaultdict(set)
    limit = format_time(utc_now() - source.spot_age)
    fresh = catalog.spot_fresh(limit)
    for offer in offers:
        mine = offer.spot and offer.cloud == catalog.cloud
        if mine and (offer.machine, offer.region) not in fresh:
            wanted[offer.region].add(offer.machine)
    asked = {region: sorted(types) for region, types in wanted.items()}
    now = utc_now()
    for region, prices in source.fetch_spot(asked):
        store_spot(catalog.database, region, prices, now)
    return bool(asked)


def store(database: sqlite3.Connection, live: LiveRegion) -> None:
    """Replace all that is known of a region by what was read of it.

    Prices that could not be read keep their former value and date. What the region no longer
    lists is dropped; its type stays, so that it can be said that it is gone.
    """
    with database:
        database.execute("BEGIN IMMEDIATE")
        schema.put_types(database, live.types)
        ids = schema.type_ids(database)
        former = {
            row[0]: row
            for row in database.execute(
                "SELECT type, on_demand, spot, spot_zones, spot_at FROM places WHERE region = ?",
                (live.region,),
            )
        }
        database.execute("DELETE FROM places WHERE region = ?", (live.region,))
        at = format_time(live.at)
        schema.put_places(database, live.places, ids, at if live.spot_priced else None)
        for place in live.places:
            kept = former.get(ids[place.machine])
            if kept and not live.priced:
                _set(database, kept, live.region, "on_demand = ?", kept[1:2])
            if kept and not live.spot_priced:
                _set(database, kept, live.region, "spot = ?, spot_zones = ?, spot_at = ?", kept[2:])
        database.execute(
            "INSERT INTO regions (region, prices_of, live_at) VALUES (?1, ?2, ?3)"
            " ON CONFLICT (region) DO UPDATE SET live_at = ?3"
            + (", prices_of = ?2" if live.priced else ""),
            (live.region, at[:10], at),
        )


def store_spot(database: sqlite3.Connection, region: str, prices: SpotPrices, at: datetime) -> None:
    """Keep the spot prices of some machine types in a region."""
    with database:
        database.execute("BEGIN IMMEDIATE")
        ids = schema.type_ids(database)
        for machine, zones in prices.items():
            if machine in ids:
                place = Place(machine, region, spot=tuple(zones.items()))
                lowest = schema.lowest_spot(place)
                database.execute(
                    "UPDATE places SET spot = ?, spot_zones = ?, spot_at = ?"
                    " WHERE type = ? AND region = ?",
                    (lowest, schema.spot_text(place), format_time(at), ids[machine], region),
                )


def _set(
    database: sqlite3.Connection,
    kept: tuple[object, ...],
    region: str,
    what: str,
    values: tuple[object, ...],
) -> None:
    database.execute(
        f"UPDATE places SET {what} WHERE type = ? AND region = ?", (*values, kept[0], region)
    )
