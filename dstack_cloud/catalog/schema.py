"""The catalog as a SQLite database: its tables, and filling them.

Prices are stored as whole 10^-9 USD, zones as one text (``a b c``), spot prices by zone as
``zone=price`` in that text's form, cheapest first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from dstack_cloud.catalog import snapshot
from dstack_cloud.catalog.models import MachineType, Place, to_nano

VERSION = 1

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE types (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, cpu INTEGER NOT NULL,
    memory INTEGER NOT NULL, architecture TEXT NOT NULL,
    gpu TEXT, gpu_count INTEGER NOT NULL, gpu_memory INTEGER NOT NULL,
    spot INTEGER NOT NULL, on_demand INTEGER NOT NULL, metal INTEGER NOT NULL
);
CREATE TABLE places (
    type INTEGER NOT NULL REFERENCES types, region TEXT NOT NULL,
    on_demand INTEGER, spot INTEGER, zones TEXT NOT NULL, spot_zones TEXT NOT NULL, spot_at TEXT,
    PRIMARY KEY (type, region)
) WITHOUT ROWID;
-- Ages: the date of the on-demand prices, and the moment of the live reading, if any.
CREATE TABLE regions (
    region TEXT PRIMARY KEY, prices_of TEXT NOT NULL, live_at TEXT
) WITHOUT ROWID;
"""
INDEXES = """
CREATE INDEX types_by_gpu ON types (gpu_count, gpu);
CREATE INDEX places_by_on_demand ON places (on_demand) WHERE on_demand IS NOT NULL;
CREATE INDEX places_by_spot ON places (spot) WHERE spot IS NOT NULL;
"""


def fill(database: sqlite3.Connection, cloud: str) -> None:
    """Make the tables in an empty database and load the bundled snapshot of ``cloud``."""
    database.executescript(TABLES)
    with database:
        put_types(database, snapshot.read_types(cloud))
        ids = type_ids(database)
        for part in snapshot.read_regions(cloud):
            put_places(database, part.places, ids)
            database.execute(
                "INSERT INTO regions (region, prices_of) VALUES (?, ?)", (part.region, part.date)
            )
        database.execute("INSERT INTO meta VALUES ('stamp', ?)", (expected_stamp(cloud),))
    database.executescript(INDEXES)


def expected_stamp(cloud: str) -> str:
    """What a database must carry to be of this version and of this snapshot."""
    return f"{VERSION}-{cloud}-{snapshot.stamp(cloud)}"


def put_types(database: sqlite3.Connection, types: Iterable[MachineType]) -> None:
    """Insert machine types, or renew those that are there."""
    database.executemany(
        "INSERT INTO types (name, cpu, memory, architecture, gpu, gpu_count, gpu_memory, spot,"
        " on_demand, metal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET cpu = excluded.cpu, memory = excluded.memory,"
        " architecture = excluded.architecture, gpu = excluded.gpu,"
        " gpu_count = excluded.gpu_count, gpu_memory = excluded.gpu_memory,"
        " spot = excluded.spot, on_demand = excluded.on_demand, metal = excluded.metal",
        (
            (
                machine.name,
                machine.cpu,
                machine.memory,
                machine.architecture,
                *(
                    (machine.gpu.name, machine.gpu.count, machine.gpu.memory)
                    if machine.gpu
                    else (None, 0, 0)
                ),
                machine.spot,
                machine.on_demand,
                machine.metal,
            )
            for machine in types
        ),
    )


def type_ids(database: sqlite3.Connection) -> dict[str, int]:
    """Name -> row of every machine type."""
    return dict(database.execute("SELECT name, id FROM types").fetchall())


def put_places(
    database: sqlite3.Connection,
    places: Iterable[Place],
    ids: dict[str, int],
    spot_at: str | None = None,
) -> None:
    """Insert what is offered where; ``ids`` are `type_ids`, ``spot_at`` dates the spot prices."""
    database.executemany(
        "INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            (
                ids[place.machine],
                place.region,
                to_nano(place.on_demand),
                lowest_spot(place),
                " ".join(place.zones),
                spot_text(place),
                spot_at,
            )
            for place in places
        ),
    )


def lowest_spot(place: Place) -> int | None:
    """The cheapest zone's spot price as stored, None where none is known."""
    return to_nano(min((price for _, price in place.spot), default=None))


def spot_text(place: Place) -> str:
    """The spot prices of a place as stored, cheapest zone first."""
    ranked = sorted(place.spot, key=lambda zone_price: (zone_price[1], zone_price[0]))
    return " ".join(f"{zone}={to_nano(price)}" for zone, price in ranked)
