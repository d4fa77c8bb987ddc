"""Quotas of a region and of the project, as `regions.get` and `projects.get` report them.

The emulated project is one that has asked for more than a new one has. Metrics are those of the
published schema's ``Quota.metric``; that there is none of H100s on demand is the real API's way,
too: those are counted by a newer kind of quota that `regions.get` does not list.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from fnmatch import fnmatch

_GPUS = ("K80", "P100", "P4", "V100", "T4", "L4", "A100", "A100_80GB")

REGIONAL: dict[str, float] = {
    "CPUS": 2400,
    "N2_CPUS": 1000,
    "N2D_CPUS": 1000,
    "C3_CPUS": 1000,
    "E2_CPUS": 2400,
    "T2A_CPUS": 500,
    "A2_CPUS": 384,
    "PREEMPTIBLE_CPUS": 2400,
    "DISKS_TOTAL_GB": 81920,
    "SSD_TOTAL_GB": 81920,
    "LOCAL_SSD_TOTAL_GB": 48000,
    "PREEMPTIBLE_LOCAL_SSD_GB": 48000,
    "INSTANCES": 6000,
    "IN_USE_ADDRESSES": 2300,
    "STATIC_ADDRESSES": 700,
    **{f"NVIDIA_{name}_GPUS": 16 for name in _GPUS},
    **{f"PREEMPTIBLE_NVIDIA_{name}_GPUS": 16 for name in (*_GPUS, "H100")},
}
PROJECT: dict[str, float] = {
    "CPUS_ALL_REGIONS": 4800,
    "GPUS_ALL_REGIONS": 64,
    "NETWORKS": 50,
    "FIREWALLS": 200,
    "SNAPSHOTS": 5000,
    "SUBNETWORKS": 275,
}

Usage = Callable[[str, str], float]
"""(region, metric) -> how much of a quota is in use; the region is ``global`` for the project's."""


class Quotas:
    """Limits, as they are and as a test set them; what is in use is asked of ``usage``."""

    def __init__(self, usage: Usage | None = None) -> None:
        self.usage: Usage = usage or (lambda _region, _metric: 0)
        self._set: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def set(self, metric: str, limit: float, region: str = "*") -> None:
        """Give a metric another limit; ``region`` is a name, a pattern, or ``global``."""
        with self._lock:
            self._set[metric, region] = limit

    def reset(self) -> None:
        """All limits as they were."""
        with self._lock:
            self._set.clear()

    def limit(self, metric: str, region: str) -> float | None:
        """The limit in force, None for a metric that is not counted there."""
        with self._lock:
            for (name, pattern), value in reversed(self._set.items()):
                if name == metric and fnmatch(region, pattern):
                    return value
        return (PROJECT if region == "global" else REGIONAL).get(metric)

    def listed(self, region: str) -> list[dict[str, object]]:
        """The ``quotas`` of a region, or of the project (``global``)."""
        known = PROJECT if region == "global" else REGIONAL
        with self._lock:
            more = [name for name, pattern in self._set if fnmatch(region, pattern)]
        return [
            {
                "metric": metric,
                "limit": self.limit(metric, region),
                "usage": self.usage(region, metric),
            }
            for metric in dict.fromkeys([*known, *more])
        ]


QUOTAS = Quotas()
"""Those of the one emulated project."""
