"""Regions and zones of the emulated cloud, and what each zone has.

A part of the real ones, with the letters that they really have. Where which GPU is follows
cloud.google.com/compute/docs/regions-zones/gpu-regions-zones, as of 2025.
"""

from __future__ import annotations

from collections.abc import Iterator

from moto_fixtures.gcp.catalog.shapes import SHAPES, Shape

REGIONS = {
    "us-central1": "abcf",
    "us-east1": "bcd",
    "us-east4": "abc",
    "us-west1": "abc",
    "europe-west1": "bcd",
    "europe-west4": "abc",
    "asia-southeast1": "abc",
}

ZONES = {f"{region}-{letter}": region for region, letters in REGIONS.items() for letter in letters}

# Accelerator type -> what Google calls it, the most a machine takes, region -> letters of zones.
ACCELERATORS: dict[str, tuple[str, int, dict[str, str]]] = {
    "nvidia-tesla-t4": (
        "NVIDIA T4",
        4,
        {
            "us-central1": "abcf",
            "us-east1": "cd",
            "us-east4": "abc",
            "us-west1": "ab",
            "europe-west1": "bcd",
            "europe-west4": "abc",
            "asia-southeast1": "abc",
        },
    ),
    "nvidia-tesla-p4": (
        "NVIDIA Tesla P4",
        4,
        {"us-central1": "ac", "us-east4": "abc", "europe-west4": "bc", "asia-southeast1": "bc"},
    ),
    "nvidia-tesla-v100": (
        "NVIDIA V100",
        8,
        {"us-central1": "abcf", "us-east1": "c", "us-west1": "ab", "europe-west4": "abc"},
    ),
    "nvidia-tesla-p100": (
        "NVIDIA Tesla P100",
        4,
        {
            "us-central1": "cf",
            "us-east1": "bc",
            "us-west1": "ab",
            "europe-west1": "bd",
            "europe-west4": "a",
        },
    ),
    "nvidia-l4": (
        "NVIDIA L4",
        8,
        {
            "us-central1": "abc",
            "us-east1": "bcd",
            "us-east4": "ac",
            "us-west1": "abc",
            "europe-west1": "bc",
            "europe-west4": "abc",
            "asia-southeast1": "abc",
        },
    ),
    "nvidia-tesla-a100": (
        "NVIDIA A100 40GB",
        16,
        {
            "us-central1": "abcf",
            "us-east1": "b",
            "us-west1": "b",
            "europe-west4": "ab",
            "asia-southeast1": "abc",
        },
    ),
    "nvidia-a100-80gb": (
        "NVIDIA A100 80GB",
        8,
        {"us-central1": "ac", "us-east4": "c", "europe-west4": "a", "asia-southeast1": "c"},
    ),
    "nvidia-h100-80gb": (
        "NVIDIA H100 80GB",
        8,
        {
            "us-central1": "abc",
            "us-east4": "abc",
            "us-west1": "ab",
            "europe-west1": "bc",
            "europe-west4": "bc",
            "asia-southeast1": "bc",
        },
    ),
    "nvidia-h100-mega-80gb": (
        "NVIDIA H100 80GB MEGA",
        8,
        {"us-central1": "abc", "us-east4": "ab", "us-west1": "ab", "europe-west4": "bc"},
    ),
    # Virtual workstations: other accelerator types for the same cards, with a licence.
    "nvidia-tesla-t4-vws": (
        "NVIDIA T4 Virtual Workstation",
        4,
        {"us-central1": "abf", "europe-west4": "abc"},
    ),
    "nvidia-l4-vws": ("NVIDIA L4 Virtual Workstation", 8, {"us-central1": "ab"}),
}

# Series that a zone may lack; the others are everywhere.
_SOMEWHERE = {
    "c3": {"us-central1": "abcf", "us-east1": "cd", "us-east4": "abc", "europe-west4": "bc"},
    "t2a": {"us-central1": "abf", "europe-west4": "abc", "asia-southeast1": "bc"},
}


def accelerators_of(zone: str) -> list[str]:
    """The accelerator types of a zone, sorted."""
    return sorted(name for name, (_, _, where) in ACCELERATORS.items() if _has(where, zone))


def shapes_of(zone: str) -> Iterator[Shape]:
    """The machine types of a zone, by name as the API lists them."""
    there = set(accelerators_of(zone))
    for _, shape in sorted(SHAPES.items()):
        somewhere = _SOMEWHERE.get(shape.series)
        if shape.accelerator and shape.accelerator not in there:
            continue
        if somewhere is None or _has(somewhere, zone):
            yield shape


def _has(where: dict[str, str], zone: str) -> bool:
    return zone[-1] in where.get(ZONES[zone], "")
