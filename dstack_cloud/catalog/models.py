"""What the catalog holds: machine types, and where and at what price each is offered.

Named tuples, because a whole catalog is a thousand types and twenty thousand places, and one is
read at every start.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from dstack_cloud.resources import Gpu

NANO = 1_000_000_000


class MachineType(NamedTuple):
    """One instance type. ``memory`` is bytes; ``metal`` means without a hypervisor.

    ``spot`` and ``on_demand`` tell how it is sold at all.
    """

    name: str
    cpu: int
    memory: int
    architecture: str
    gpu: Gpu | None = None
    spot: bool = True
    on_demand: bool = True
    metal: bool = False


class Place(NamedTuple):
    """One machine type in one region.

    ``on_demand`` is USD an hour, None where not known. ``zones`` are zone names (or, in the
    bundled snapshot, zone IDs) where it is offered. ``spot`` are spot prices by zone, of the
    zones where one is known.
    """

    machine: str
    region: str
    zones: tuple[str, ...] = ()
    on_demand: Decimal | None = None
    spot: tuple[tuple[str, Decimal], ...] = ()


class SpotChange(NamedTuple):
    """A spot price (USD an hour) of a machine type in a zone, in force from ``since`` on."""

    machine: str
    zone: str
    since: datetime
    price: Decimal


class Wanted(NamedTuple):
    """A resource request in the catalog's own terms: names resolved, minimums as numbers.

    ``gpu_count`` 0 means a machine without GPUs; ``gpu_name`` None means any GPU. ``max_price``
    is USD an hour. ``regions`` empty means everywhere.
    """

    cpu: int
    memory: int
    architecture: str
    gpu_count: int
    gpu_name: str | None
    gpu_memory: int
    spot: tuple[bool, ...]
    max_price: Decimal | None
    regions: tuple[str, ...]


def to_nano(price: Decimal | None) -> int | None:
    """A price as whole 10^-9 USD: exact for what clouds publish, and sortable in SQL."""
    return None if price is None else int((price * NANO).to_integral_value())


def from_nano(price: int | None) -> Decimal | None:
    """The price that `to_nano` stored."""
    if price is None:
        return None
    whole, part = divmod(price, NANO)
    return Decimal(f"{whole}.{part:09d}".rstrip("0").rstrip("."))
