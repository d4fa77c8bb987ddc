"""The bundled catalog: what is offered and at what price, for those without credentials.

Text files, so that a change of the data can be read as a difference; see scripts/make-catalog-
snapshot for what is in them and docs/catalog.md for how far to trust them.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from dstack_cloud.catalog.models import MachineType, Place
from dstack_cloud.resources import Gpu
from dstack_cloud.units import GIB, MIB

FOLDER = Path(__file__).parent / "data"


class RegionFile(NamedTuple):
    """One region of the snapshot; ``date`` (ISO) is that of its prices."""

    region: str
    date: str
    places: list[Place]


def clouds() -> list[str]:
    """The clouds that the package holds a snapshot of."""
    return sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


def stamp(cloud: str) -> str:
    """A digest of the files: a cache made of others is out of date."""
    return (FOLDER / cloud / "stamp").read_text(encoding="utf-8").strip()


def digest(cloud: str) -> str:
    """What `stamp` must say: SHA-256 over the files, names included."""
    sha = sha256()
    for file in sorted((FOLDER / cloud).rglob("*.tsv")):
        sha.update(file.name.encode() + b"\0" + file.read_bytes())
    return sha.hexdigest()


def read_types(cloud: str) -> Iterator[MachineType]:
    """Every machine type, also those that the cloud has retired (offered nowhere)."""
    for row in _rows(FOLDER / cloud / "types.tsv"):
        name, cpu, memory, architecture, gpus, flags = row
        gpu = None
        if gpus != "-":
            count, gpu_name, gigabytes = gpus.split(" x ")
            gpu = Gpu(gpu_name, int(count), int(gigabytes) * GIB)
        yield MachineType(
            name,
            int(cpu),
            int(memory) * MIB,
            architecture,
            gpu,
            spot="no-spot" not in flags,
            on_demand="no-on-demand" not in flags,
            metal="metal" in flags,
        )


def read_regions(cloud: str) -> Iterator[RegionFile]:
    """Every region with what is offered there."""
    for path in sorted((FOLDER / cloud / "regions").glob("*.tsv")):
        rows = _rows(path)
        (_, region), (_, date), (_, prefix) = next(rows), next(rows), next(rows)
        places = [
            Place(
                machine,
                region,
                tuple(prefix + digit for digit in zones),
                None if price == "?" else Decimal(price),
            )
            for machine, price, zones in rows
        ]
        yield RegionFile(region, date, places)


def _rows(path: Path) -> Iterator[list[str]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")
