"""Questions to the catalog's database: what fits, cheapest first.

Which order SQLite walks the tables in is told to it (CROSS JOIN): a request for GPUs fits few
types, so those come first and their places are sorted; any other request fits most of them, so
the places are walked in the order of their prices until enough are found.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from heapq import merge
from typing import Any, NamedTuple

from dstack_cloud.catalog.models import MachineType, Wanted, from_nano, to_nano
from dstack_cloud.resources import Gpu, Offer, ZonePrice

_OFFER = (
    "p.{price}, t.metal, t.gpu_count, t.name, p.region, {spot}, t.cpu, t.memory, t.gpu,"
    " t.gpu_memory, t.architecture, p.on_demand, p.zones, p.spot_zones"
)
# At the same price: no bare metal (it boots slowly), and no more GPUs than needed.
_TIES = "t.metal, t.gpu_count, t.name, p.region"

_Row = tuple[Any, ...]


class Standing(NamedTuple):
    """How a machine type stands in the wanted regions: in how many, and its lowest prices."""

    regions: int
    on_demand: Decimal | None
    spot: Decimal | None
    everywhere: int


class Age(NamedTuple):
    """How old a region's data is: the price list's date; when it was read live, if it was."""

    region: str
    prices_of: str
    live_at: str | None


class Catalog:
    """One cloud's machine types, places and prices."""

    def __init__(self, cloud: str, database: sqlite3.Connection) -> None:
        self.cloud = cloud
        self.database = database

    def offers(self, wanted: Wanted) -> Iterator[Offer]:
        """Every offer that fits, cheapest first, those of unknown price last."""
        known = [self._rows(wanted, spot, known=True) for spot in wanted.spot]
        for row in merge(*known, key=lambda row: row[:6]):
            yield self._offer(row)
        if wanted.max_price is None:
            unknown = [self._rows(wanted, spot, known=False) for spot in wanted.spot]
            for row in merge(*unknown, key=lambda row: (row[11] is None, row[11] or 0, *row[1:6])):
                yield self._offer(row)

    def places(self, wanted: Wanted) -> Iterator[tuple[str, str, bool]]:
        """Machine, region and kind (spot) of every offer, in no order."""
        for spot in wanted.spot:
            where, values = _where(wanted, spot)
            yield from self.database.execute(
                f"SELECT t.name, p.region, {int(spot)} FROM types t CROSS JOIN places p"
                f" ON p.type = t.id WHERE {where}",
                values,
            )

    def count(self, wanted: Wanted) -> int:
        """How many offers fit."""
        total = 0
        for spot in wanted.spot:
            where, values = _where(wanted, spot)
            counting = (
                "SELECT count(*) FROM types t CROSS JOIN places p ON p.type = t.id WHERE " + where
            )
            total += self.database.execute(counting, values).fetchone()[0]
        return total

    def regions(self) -> list[str]:
        """The regions that the catalog knows."""
        return [row[0] for row in self.database.execute("SELECT region FROM regions")]

    def ages(self) -> list[Age]:
        """How old the data of each region is."""
        rows = self.database.execute(
            "SELECT region, prices_of, live_at FROM regions ORDER BY region"
        )
        return [Age(*row) for row in rows]

    def spot_fresh(self, since: str) -> set[tuple[str, str]]:
        """Machine and region of the spot prices read after a moment (RFC 3339)."""
        rows = self.database.execute(
            "SELECT t.name, p.region FROM places p JOIN types t ON t.id = p.type"
            " WHERE p.spot_at > ?",
            (since,),
        )
        return set(rows.fetchall())

    def types(self) -> list[MachineType]:
        """Every machine type, those offered nowhere included."""
        rows = self.database.execute(
            "SELECT name, cpu, memory, architecture, gpu, gpu_count, gpu_memory, spot, on_demand,"
            " metal FROM types ORDER BY name"
        )
        return [
            MachineType(
                name,
                cpu,
                memory,
                architecture,
                Gpu(gpu, count, each) if count else None,
                bool(spot),
                bool(on_demand),
                bool(metal),
            )
            for name, cpu, memory, architecture, gpu, count, each, spot, on_demand, metal in rows
        ]

    def standings(self, regions: tuple[str, ...]) -> dict[str, Standing]:
        """Machine type -> how it stands in ``regions`` (all, if empty)."""
        inside, values = _in_regions(regions)
        rows = self.database.execute(
            f"SELECT t.name, total({inside}), min(CASE WHEN {inside} THEN p.on_demand END),"
            f" min(CASE WHEN {inside} THEN p.spot END), count(*)"
            " FROM places p JOIN types t ON t.id = p.type GROUP BY p.type",
            values * 3,
        )
        return {
            name: Standing(int(count), from_nano(on_demand), from_nano(spot), everywhere)
            for name, count, on_demand, spot, everywhere in rows
        }

    def gpus(self, architecture: str) -> list[tuple[str, int]]:
        """Name and bytes of the GPUs that are offered anywhere."""
        rows = self.database.execute(
            "SELECT DISTINCT gpu, gpu_memory FROM types t WHERE gpu_count > 0 AND architecture = ?"
            " AND EXISTS (SELECT 1 FROM places p WHERE p.type = t.id)",
            (architecture,),
        )
        return rows.fetchall()

    def _rows(self, wanted: Wanted, spot: bool, known: bool) -> Iterator[_Row]:
        price = "spot" if spot else "on_demand"
        where, values = _where(wanted, spot)
        tables = "types t CROSS JOIN places p ON p.type = t.id"
        if known and not wanted.gpu_count:
            tables = "places p CROSS JOIN types t ON t.id = p.type"
        first = f"p.{price}" if known else "p.on_demand IS NULL, p.on_demand"
        return self.database.execute(
            f"SELECT {_OFFER.format(price=price, spot=int(spot))} FROM {tables} WHERE {where}"
            f" AND p.{price} IS {'NOT ' if known else ''}NULL ORDER BY {first}, {_TIES}",
            values,
        )

    def _offer(self, row: _Row) -> Offer:
        price, _, count, machine, region, spot, cpu, memory, gpu, each, arch, on_demand, z, s = row
        return Offer(
            cloud=self.cloud,
            region=region,
            machine=machine,
            cpu=cpu,
            memory=memory,
            gpu=Gpu(gpu, count, each) if count else None,
            spot=bool(spot),
            price=from_nano(price),
            on_demand=from_nano(on_demand),
            zones=_zones(z, s, spot, from_nano(on_demand)),
            architecture=arch,
        )


def _where(wanted: Wanted, spot: bool) -> tuple[str, list[object]]:
    kind = "spot" if spot else "on_demand"
    clauses = [f"t.{kind}", "t.cpu >= ?", "t.memory >= ?", "t.architecture = ?"]
    values: list[object] = [wanted.cpu, wanted.memory, wanted.architecture]
    if wanted.gpu_count:
        clauses += ["t.gpu_count >= ?", "t.gpu_memory >= ?"]
        values += [wanted.gpu_count, wanted.gpu_memory]
        if wanted.gpu_name:
            clauses.append("t.gpu = ?")
            values.append(wanted.gpu_name)
    else:
        clauses.append("t.gpu_count = 0")
    if wanted.regions:
        inside, names = _in_regions(wanted.regions)
        clauses.append(inside)
        values += names
    if wanted.max_price is not None:
        clauses.append(f"p.{kind} <= ?")
        values.append(to_nano(wanted.max_price))
    return " AND ".join(clauses), values


def _in_regions(regions: tuple[str, ...]) -> tuple[str, list[str]]:
    if not regions:
        return "1", []
    return f"p.region IN ({', '.join('?' * len(regions))})", list(regions)


def _zones(
    zones: str, spot_zones: str, spot: bool, on_demand: Decimal | None
) -> tuple[ZonePrice, ...]:
    if not spot:
        return tuple(ZonePrice(zone, on_demand) for zone in zones.split())
    priced = dict(part.split("=") for part in spot_zones.split())
    known = [ZonePrice(zone, from_nano(int(price))) for zone, price in priced.items()]
    # Zone IDs (of the snapshot) may be the same zones under other names.
    rest = [zone for zone in zones.split() if zone not in priced and not (known and "-az" in zone)]
    return (*known, *(ZonePrice(zone, None) for zone in rest))
