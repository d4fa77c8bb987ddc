"""What the project's quotas forbid."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dstack_cloud.clouds.gcp.quotas import allowed
from dstack_cloud.resources import Gpu, Offer
from dstack_cloud.units import GIB

PLENTY = {"CPUS": 100.0, "N2_CPUS": 100.0, "PREEMPTIBLE_CPUS": 100.0}


@pytest.mark.parametrize(
    ("limits", "spot", "reason"),
    [
        ({**PLENTY, "PREEMPTIBLE_NVIDIA_L4_GPUS": 1}, True, None),
        ({**PLENTY, "PREEMPTIBLE_NVIDIA_L4_GPUS": 0}, True, "0 PREEMPTIBLE_NVIDIA_L4_GPUS"),
        ({**PLENTY, "PREEMPTIBLE_NVIDIA_L4_GPUS": 0}, False, None),
        ({**PLENTY, "NVIDIA_L4_GPUS": 0}, False, "0 NVIDIA_L4_GPUS"),
        ({"CPUS": 2.0}, False, "2 CPUS"),
        # Preemptible quota that was never granted: spot counts against the standard one.
        ({"CPUS": 100.0, "PREEMPTIBLE_CPUS": 0}, True, None),
        ({"CPUS": 2.0, "PREEMPTIBLE_CPUS": 0}, True, "2 CPUS"),
        ({"CPUS": 2.0, "PREEMPTIBLE_CPUS": 64.0}, True, None),
        # What is not told forbids nothing.
        ({}, True, None),
    ],
)
def test_of_a_region(
    offer: Callable[..., Offer], limits: dict[str, float], spot: bool, reason: str | None
) -> None:
    found = allowed(offer(spot=spot), limits, {})
    assert (reason is None and found is None) or (reason or "?") in str(found)


def test_of_the_project(offer: Callable[..., Offer]) -> None:
    assert "GPUS_ALL_REGIONS" in str(allowed(offer(), PLENTY, {"GPUS_ALL_REGIONS": 0}))
    assert allowed(offer("n2-standard-4", gpu=None), PLENTY, {"GPUS_ALL_REGIONS": 0}) is None


def test_series_with_cores_of_their_own(offer: Callable[..., Offer]) -> None:
    n2 = offer("n2-standard-4", gpu=None, spot=False)
    assert "2 N2_CPUS" in str(allowed(n2, {"CPUS": 100, "N2_CPUS": 2}, {}))
    assert allowed(n2, {"CPUS": 1, "N2_CPUS": 8}, {}) is None


def test_as_many_gpus_as_are_asked_for(offer: Callable[..., Offer]) -> None:
    four = offer("g2-standard-48", gpu=Gpu("L4", 4, 24 * GIB), spot=False)
    assert "3 NVIDIA_L4_GPUS" in str(allowed(four, {**PLENTY, "NVIDIA_L4_GPUS": 3}, {}))
