"""What a run asks for and what a cloud offers, as plain values.

Memory and disk are bytes, prices USD an hour (``Decimal``; ``None`` is "not known", which is
never shown as a number nor chosen silently).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(frozen=True)
class GpuRequest:
    """GPUs asked for. ``memory`` is the minimum of each GPU; ``name`` None means any GPU."""

    count: int = 1
    name: str | None = None
    memory: int | None = None


@dataclass(frozen=True)
class ResourceRequest:
    """Minimums of each machine, place and price. ``interruptible`` None means: both kinds may be
    listed. ``nodes`` machines are wanted at once."""

    cpu: int | None = None
    memory: int | None = None
    gpu: GpuRequest | None = None
    disk: int | None = None
    shm_size: int | None = None
    interruptible: bool | None = False
    max_price: Decimal | None = None
    clouds: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    architecture: str = "x86_64"
    nodes: int = 1


@dataclass(frozen=True)
class Gpu:
    """The GPUs of a machine: name as in the catalog, how many, bytes of memory of each."""

    name: str
    count: int
    memory: int


@dataclass(frozen=True)
class ZonePrice:
    """One zone (its name in the caller's account, or a zone ID) and the price there.

    ``expected`` is what an hour of useful work is reckoned to cost there (see `ranking`), None
    where that was not reckoned.
    """

    zone: str
    price: Decimal | None
    expected: Decimal | None = None

    @property
    def cost(self) -> Decimal | None:
        """What ranks the zone: the expected cost, else the price."""
        return self.price if self.expected is None else self.expected


@dataclass(frozen=True)
class Offer:
    """One instance type in one region at one price, spot or on demand.

    ``zones`` are cheapest first; ``price`` is that of the cheapest zone; ``on_demand`` is the
    on-demand price of the same type in the same region. ``egress`` is USD, once, for bringing what
    a run depends on to that region from where it lies; None where not known.
    """

    cloud: str
    region: str
    machine: str
    cpu: int
    memory: int
    gpu: Gpu | None
    spot: bool
    price: Decimal | None
    on_demand: Decimal | None
    zones: tuple[ZonePrice, ...] = field(default=())
    architecture: str = "x86_64"
    egress: Decimal | None = Decimal(0)

    @property
    def saving(self) -> Decimal | None:
        """Share of the on-demand price saved, 0 to 1; None where a price is not known."""
        if self.price is None or not self.on_demand:
            return None
        return 1 - self.price / self.on_demand


@dataclass(frozen=True)
class Rejection:
    """An instance type that does not satisfy the request, and why, in words."""

    machine: str
    reason: str
