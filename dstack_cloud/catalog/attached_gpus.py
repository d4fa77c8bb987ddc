"""GPUs that Google attaches to machines of n1: which combinations there are, and their names.

A machine type with GPUs attached is a type of its own in the catalog, ``n1-standard-8+2xT4``, as
its price, its quota and its capacity are its own. Limits: "GPU platforms", "NVIDIA GPUs attached to
N1 VMs" (cloud.google.com/compute/docs/gpus), as of November 2025. K80s are gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Limit(NamedTuple):
    """How large a machine with ``gpus`` of a kind may be: vCPUs and GiB."""

    gpus: int
    cpus: int
    gibibytes: int


LIMITS: dict[str, tuple[Limit, ...]] = {
    "T4": (Limit(1, 48, 312), Limit(2, 48, 312), Limit(4, 96, 624)),
    "P4": (Limit(1, 24, 156), Limit(2, 48, 312), Limit(4, 96, 624)),
    "V100": (Limit(1, 12, 78), Limit(2, 24, 156), Limit(4, 48, 312), Limit(8, 96, 624)),
    "P100": (Limit(1, 16, 104), Limit(2, 32, 208), Limit(4, 96, 624)),
}
# Four P100s allow less in these zones.
_SMALLER = {("P100", 4): ({"us-east1-c", "europe-west1-b", "europe-west1-d"}, Limit(4, 64, 208))}
# Not the shared cores (f1, g1), and not the old names of m1 (n1-ultramem).
_TAKES_GPUS = re.compile(r"n1-(standard|highmem|highcpu)-\d+")


def combinations(machine: str, cpus: int, gibibytes: float, gpu: str, zone: str) -> Iterator[int]:
    """How many GPUs of a kind may be attached to a machine type in a zone."""
    if not _TAKES_GPUS.fullmatch(machine):
        return
    for limit in LIMITS.get(gpu, ()):
        zones, smaller = _SMALLER.get((gpu, limit.gpus), (set[str](), limit))
        most = smaller if zone in zones else limit
        if cpus <= most.cpus and gibibytes <= most.gibibytes:
            yield limit.gpus


def with_gpus(machine: str, count: int, gpu: str) -> str:
    """The catalog's name of a machine type with GPUs attached."""
    return f"{machine}+{count}x{gpu}"


def google_type(machine: str) -> str:
    """Google's name of a machine type of the catalog: without the GPUs that are attached."""
    return machine.partition("+")[0]
