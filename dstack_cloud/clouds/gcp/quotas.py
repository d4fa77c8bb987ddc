"""The project's quotas, and what they forbid.

Metrics: docs.cloud.google.com/compute/resource-usage and …/docs/reference/rest/v1/regions (quotas).
A project that was never granted preemptible quota runs spot machines on its standard quota, so a
preemptible CPU quota of 0 forbids nothing; those of GPUs are two quotas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dstack_cloud.clouds.gcp.errors import translated
from dstack_cloud.clouds.gcp.sessions import Sessions
from dstack_cloud.resources import Offer

ALL_GPUS, ALL_CPUS = "GPUS_ALL_REGIONS", "CPUS_ALL_REGIONS"
_GPU_METRICS = {
    "T4": "NVIDIA_T4_GPUS",
    "P4": "NVIDIA_P4_GPUS",
    "P100": "NVIDIA_P100_GPUS",
    "V100": "NVIDIA_V100_GPUS",
    "K80": "NVIDIA_K80_GPUS",
    "L4": "NVIDIA_L4_GPUS",
    "A100": "NVIDIA_A100_GPUS",
    "A100-80GB": "NVIDIA_A100_80GB_GPUS",
    "H100": "NVIDIA_H100_GPUS",
}
_SMALL_A100 = 60 * 10**9
# Series whose cores are counted together; the others have a quota of their own each.
_SHARED_CPUS = ("e2", "n1", "f1", "g1", "g2", "a3")
_SPOT = "PREEMPTIBLE_"

TOLD = (
    "CPUS",
    *(
        metric
        for name in ("T4", "L4", "V100", "A100", "A100-80GB", "H100")
        for metric in (_GPU_METRICS[name], _SPOT + _GPU_METRICS[name])
    ),
)
"""The regional quotas that `check` tells of."""

Limits = Mapping[str, float]
"""Metric to limit; absent where not known."""


@dataclass(frozen=True)
class Need:
    """How much of a quota an offer takes; a limit of 0 says no more than that ``or_standard``
    counts, where there is one."""

    metric: str
    amount: int
    or_standard: str | None = None


def needs(offer: Offer) -> list[Need]:
    """The regional quotas that count an offer."""
    series = offer.machine.split("-", 1)[0]
    cores = "CPUS" if series in _SHARED_CPUS else f"{series.upper()}_CPUS"
    found = [Need(f"{_SPOT}CPUS", offer.cpu, cores) if offer.spot else Need(cores, offer.cpu)]
    metric = gpu_metric(offer)
    if metric is not None and offer.gpu is not None:
        found.append(Need(f"{_SPOT}{metric}" if offer.spot else metric, offer.gpu.count))
    return found


def gpu_metric(offer: Offer) -> str | None:
    """The quota that counts the offer's GPUs; None without GPUs, or where it is not known."""
    if offer.gpu is None:
        return None
    name = offer.gpu.name
    if name == "A100" and offer.gpu.memory > _SMALL_A100:
        name = "A100-80GB"
    return _GPU_METRICS.get(name)


def allowed(offer: Offer, region: Limits, project: Limits, nodes: int = 1) -> str | None:
    """Why the quota forbids so many machines of an offer, in words; None when it does not, or is
    not known."""
    for need in needs(offer):
        metric, limit = need.metric, region.get(need.metric)
        if not limit and need.or_standard is not None:
            metric, limit = need.or_standard, region.get(need.or_standard)
        if limit is not None and need.amount * nodes > limit:
            return f"quota: {limit:.0f} {metric} in {offer.region}"
    count = offer.gpu.count if offer.gpu else 0
    for metric, amount in ((ALL_GPUS, count), (ALL_CPUS, offer.cpu)):
        limit = project.get(metric)
        if limit is not None and amount * nodes > limit:
            return f"quota: {limit:.0f} {metric} in the project"
    return None


def region_limits(sessions: Sessions, region: str) -> dict[str, float]:
    """The limits of a region. Raises PermissionDeniedError and the like."""
    with translated("reading the quotas", region):
        # Not by the SDK: a plan asks for this, and need not load it.
        found = sessions.call("compute", "GET", f"projects/{sessions.project()}/regions/{region}")
    return _limits(found)


def project_limits(sessions: Sessions) -> dict[str, float]:
    """The limits of the project. Raises PermissionDeniedError and the like."""
    with translated("reading the project's quotas"):
        found = sessions.call("compute", "GET", f"projects/{sessions.project()}")
    return _limits(found)


def _limits(answer: Mapping[str, Any]) -> dict[str, float]:
    return {str(one["metric"]): float(one["limit"]) for one in answer.get("quotas", ())}


def in_short(metric: str) -> str:
    """``PREEMPTIBLE_NVIDIA_T4_GPUS`` is ``spot T4``: for people, beside the name."""
    if metric in (ALL_GPUS, ALL_CPUS):
        return f"{metric.partition('_')[0]}, all regions"
    spot = "spot " if metric.startswith(_SPOT) else ""
    return spot + metric.removeprefix(_SPOT).removeprefix("NVIDIA_").removesuffix("_GPUS")


def how_to_raise(metric: str, region: str | None, project: str) -> str:
    """The console page that asks Google for more."""
    place = f" in {region}" if region else ""
    return (
        f"ask for more {metric}{place}: "
        f"https://console.cloud.google.com/iam-admin/quotas?project={project}"
    )
