"""The machine types of the emulated cloud, as Google documents them.

Sizes: cloud.google.com/compute/docs/general-purpose-machines and
cloud.google.com/compute/docs/accelerator-optimized-machines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Shape(NamedTuple):
    """One machine type. ``memory_mb`` is MiB; ``accelerator`` its GPUs' type and their number;
    ``ssds`` the local disks of 375 GB that come with it."""

    name: str
    cpus: int
    memory_mb: int
    accelerator: str | None = None
    gpus: int = 0
    ssds: int = 0
    shared: bool = False
    architecture: str = "X86_64"

    @property
    def series(self) -> str:
        """What comes before the first dash: ``n1``, ``a2``."""
        return self.name.partition("-")[0]


# Series -> kind -> (GiB a vCPU, sizes in vCPUs).
_GENERAL: dict[str, dict[str, tuple[float, tuple[int, ...]]]] = {
    "e2": {
        "standard": (4, (2, 4, 8, 16, 32)),
        "highmem": (8, (2, 4, 8, 16)),
        "highcpu": (1, (2, 4, 8, 16, 32)),
    },
    "n1": {
        "standard": (3.75, (1, 2, 4, 8, 16, 32, 64, 96)),
        "highmem": (6.5, (2, 4, 8, 16, 32, 64, 96)),
        "highcpu": (0.9, (2, 4, 8, 16, 32, 64, 96)),
    },
    "n2": {
        "standard": (4, (2, 4, 8, 16, 32, 48, 64, 80, 96, 128)),
        "highmem": (8, (2, 4, 8, 16, 32, 48, 64, 80)),
        "highcpu": (1, (2, 4, 8, 16, 32, 48, 64, 80, 96)),
    },
    "n2d": {
        "standard": (4, (2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 224)),
        "highmem": (8, (2, 4, 8, 16, 32, 48, 64, 80, 96)),
        "highcpu": (1, (2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 224)),
    },
    "c3": {
        "standard": (4, (4, 8, 22, 44, 88, 176)),
        "highmem": (8, (4, 8, 22, 44, 88, 176)),
        "highcpu": (2, (4, 8, 22, 44, 88, 176)),
    },
    "t2a": {"standard": (4, (1, 2, 4, 8, 16, 32, 48))},
}
_SHARED = {
    "e2-micro": (2, 1024),
    "e2-small": (2, 2048),
    "e2-medium": (2, 4096),
    "f1-micro": (1, 614),
    "g1-small": (1, 1740),
}
_C3_SSDS = {4: 1, 8: 2, 22: 4, 44: 8, 88: 16, 176: 32}
# Name -> vCPUs, GiB, GPUs, local disks.
_L4 = {
    "g2-standard-4": (4, 16, 1, 0),
    "g2-standard-8": (8, 32, 1, 0),
    "g2-standard-12": (12, 48, 1, 0),
    "g2-standard-16": (16, 64, 1, 0),
    "g2-standard-24": (24, 96, 2, 0),
    "g2-standard-32": (32, 128, 1, 0),
    "g2-standard-48": (48, 192, 4, 0),
    "g2-standard-96": (96, 384, 8, 0),
}
_A100 = {
    **{f"a2-highgpu-{n}g": (12 * n, 85 * n, n, 0) for n in (1, 2, 4, 8)},
    "a2-megagpu-16g": (96, 1360, 16, 0),
}
_A100_80 = {f"a2-ultragpu-{n}g": (12 * n, 170 * n, n, n) for n in (1, 2, 4, 8)}
_H100 = {
    **{f"a3-highgpu-{n}g": (26 * n, 234 * n, n, 2 * n) for n in (1, 2, 4, 8)},
    "a3-edgegpu-8g": (208, 1872, 8, 16),
}
_WITH_GPUS = {
    "nvidia-l4": _L4,
    "nvidia-tesla-a100": _A100,
    "nvidia-a100-80gb": _A100_80,
    "nvidia-h100-80gb": _H100,
    "nvidia-h100-mega-80gb": {"a3-megagpu-8g": (208, 1872, 8, 16)},
}


def shapes() -> Iterator[Shape]:
    """Every machine type."""
    for name, (cpus, mebibytes) in _SHARED.items():
        yield Shape(name, cpus, mebibytes, shared=True)
    for series, kinds in _GENERAL.items():
        architecture = "ARM64" if series == "t2a" else "X86_64"
        for kind, (each, sizes) in kinds.items():
            for cpus in sizes:
                mebibytes = round(each * cpus * 1024)
                name = f"{series}-{kind}-{cpus}"
                yield Shape(name, cpus, mebibytes, architecture=architecture)
                if series == "c3" and kind == "standard":
                    yield Shape(f"{name}-lssd", cpus, mebibytes, ssds=_C3_SSDS[cpus])
    yield Shape("c3-standard-192-metal", 192, 768 * 1024)
    for accelerator, types in _WITH_GPUS.items():
        for name, (cpus, gibibytes, count, ssds) in types.items():
            yield Shape(name, cpus, gibibytes * 1024, accelerator, count, ssds)


SHAPES = {shape.name: shape for shape in shapes()}
