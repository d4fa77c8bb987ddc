"""Whether the project's quotas leave room for more instances.

Metrics: cloud.google.com/compute/resource-usage. Those of spot are used where the project has
them, as the page on spot instances says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from moto_fixtures.gcp.catalog.places import ZONES
from moto_fixtures.gcp.catalog.quotas import Quotas
from moto_fixtures.gcp.compute.instances import Instance
from moto_fixtures.gcp.compute.spec import Choice

# Series that are counted apart from CPUS.
_OWN_CPUS = {"n2": "N2_CPUS", "n2d": "N2D_CPUS", "c3": "C3_CPUS", "a2": "A2_CPUS"}
_GPUS = {
    "nvidia-tesla-t4": "NVIDIA_T4_GPUS",
    "nvidia-tesla-p4": "NVIDIA_P4_GPUS",
    "nvidia-tesla-p100": "NVIDIA_P100_GPUS",
    "nvidia-tesla-v100": "NVIDIA_V100_GPUS",
    "nvidia-l4": "NVIDIA_L4_GPUS",
    "nvidia-tesla-a100": "NVIDIA_A100_GPUS",
    "nvidia-a100-80gb": "NVIDIA_A100_80GB_GPUS",
    "nvidia-h100-80gb": "NVIDIA_H100_GPUS",
}


def needs(choice: Choice, spot: bool) -> list[tuple[str, str, float]]:
    """(region or ``global``, metric, how much) that one instance of this choice takes."""
    region = ZONES[choice.zone]
    cpus = float(choice.shape.cpus)
    metric = "PREEMPTIBLE_CPUS" if spot else _OWN_CPUS.get(choice.shape.series, "CPUS")
    found = [(region, metric, cpus), (region, "INSTANCES", 1.0)]
    found.append(("global", "CPUS_ALL_REGIONS", cpus))
    gpus = _GPUS.get((choice.accelerator or "").removesuffix("-vws"))
    if gpus:
        found.append((region, f"PREEMPTIBLE_{gpus}" if spot else gpus, float(choice.gpus)))
    if choice.gpus:
        found.append(("global", "GPUS_ALL_REGIONS", float(choice.gpus)))
    return found


def usage(instances: Iterable[Instance], region: str, metric: str) -> float:
    """How much of a quota is taken."""
    taken = 0.0
    for instance in instances:
        for where, name, amount in needs(instance.choice, instance.asked.spot):
            if (where, name) == (region, metric):
                taken += amount
    return taken


def refused(
    quotas: Quotas, used: Callable[[str, str], float], choice: Choice, spot: bool, count: int = 1
) -> dict[str, Any] | None:
    """The error of the first quota that has no room for so many, as an operation has it; None."""
    for where, metric, amount in needs(choice, spot):
        limit = quotas.limit(metric, where)
        if limit is not None and used(where, metric) + amount * count > limit:
            return error(metric, limit, where)
    return None


def error(metric: str, limit: float, where: str) -> dict[str, Any]:
    """In the words that users report: "Quota 'X' exceeded.  Limit: 1.0 in region R."""
    place = "globally" if where == "global" else f"in region {where}"
    scope = "project" if where == "global" else "project-region"
    return {
        "code": "QUOTA_EXCEEDED",
        "message": f"Quota '{metric}' exceeded.  Limit: {float(limit)} {place}.",
        "errorDetails": [
            {
                "quotaInfo": {
                    "metricName": f"compute.googleapis.com/{metric.lower()}",
                    "limitName": f"{metric.replace('_', '-')}-per-{scope}",
                    "dimensions": {"global": "global"} if where == "global" else {"region": where},
                    "limit": float(limit),
                }
            }
        ],
    }
