"""From Google's description of a machine type to the catalog's, and to what it is billed for.

Pure. Fields: machineTypes and acceleratorTypes of ``compute.v1``.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from dstack_cloud.catalog.models import MachineType
from dstack_cloud.resources import Gpu
from dstack_cloud.units import GIB, MIB

LOCAL_DISK_GIB = 375
"""One local SSD (cloud.google.com/compute/docs/disks/local-ssd)."""


class Accelerator(NamedTuple):
    """A GPU of Google's: the catalog's name, gigabytes of memory, its name in SKUs."""

    gpu: str
    gigabytes: int
    sku: str


# cloud.google.com/compute/docs/gpus. Other accelerator types (virtual workstations, TPUs) are left
# out, with the machines that come with them.
ACCELERATORS = {
    "nvidia-tesla-t4": Accelerator("T4", 16, "T4"),
    "nvidia-tesla-p4": Accelerator("P4", 8, "P4"),
    "nvidia-tesla-v100": Accelerator("V100", 16, "V100"),
    "nvidia-tesla-p100": Accelerator("P100", 16, "P100"),
    "nvidia-l4": Accelerator("L4", 24, "L4"),
    "nvidia-tesla-a100": Accelerator("A100", 40, "A100"),
    "nvidia-a100-80gb": Accelerator("A100", 80, "A100 80GB"),
    "nvidia-h100-80gb": Accelerator("H100", 80, "H100 80GB"),
    "nvidia-h100-mega-80gb": Accelerator("H100", 80, "H100 80GB Mega"),
    "nvidia-h200-141gb": Accelerator("H200", 141, "H200 141GB"),
    "nvidia-b200": Accelerator("B200", 180, "B200"),
    "nvidia-rtx-pro-6000": Accelerator("RTX PRO 6000", 96, "RTX 6000 96GB"),
}
_ARM = ("a4x", "c4a", "n4a", "t2a")
# vCPUs that a shared core is billed as ("E2 shared-core machine types",
# cloud.google.com/compute/docs/general-purpose-machines).
_SHARED = {"e2-micro": "0.25", "e2-small": "0.5", "e2-medium": "1"}
# Billed as a whole.
_FLAT = ("f1-micro", "g1-small")
# Not sold on demand: A3 High with fewer than 8 GPUs is for spot and flex-start; A3 Ultra, A4 and
# A4X for spot or reserved ("Pricing and provisioning options",
# cloud.google.com/compute/docs/accelerator-optimized-machines).
_NOT_ON_DEMAND = ("a3-highgpu-1g", "a3-highgpu-2g", "a3-highgpu-4g")
_NOT_ON_DEMAND_SERIES = ("a3-ultragpu", "a4", "a4x")
# Hosts of TPUs, which no container of ours can use.
_TPU = ("ct", "tpu")


class Bill(NamedTuple):
    """What an hour of a machine is billed for.

    ``flat`` names a machine type that is billed as a whole; ``gpu`` is the name in SKUs; ``disks``
    are local SSDs that come with the type.
    """

    series: str
    cores: Decimal
    gibibytes: Decimal
    gpu: str | None = None
    gpus: int = 0
    disks: int = 0
    flat: str | None = None


class Described(NamedTuple):
    """A machine type, and what it is billed for."""

    type: MachineType
    bill: Bill


def machine_type(item: Mapping[str, Any]) -> Described | None:
    """One item of machineTypes; None for a type that the catalog leaves out.

    Left out: deprecated ones, accelerators other than NVIDIA's GPUs, hosts of TPUs.
    """
    name = str(item["name"])
    series = name.partition("-")[0]
    if item.get("deprecated", {}).get("state") or series.startswith(_TPU) or "tpu" in name:
        return None
    gpu, sku, gpus = None, None, 0
    for one in item.get("accelerators", ()):
        known = ACCELERATORS.get(one["guestAcceleratorType"])
        if known is None:
            return None
        gpus = int(one["guestAcceleratorCount"])
        gpu, sku = Gpu(known.gpu, gpus, known.gigabytes * GIB), known.sku
    arm = item.get("architecture") == "ARM64" or series in _ARM
    cpus, mebibytes = int(item["guestCpus"]), int(item["memoryMb"])
    on_demand = name not in _NOT_ON_DEMAND and not any(
        name.startswith(f"{one}-") for one in _NOT_ON_DEMAND_SERIES
    )
    machine = MachineType(
        name=name,
        cpu=cpus,
        memory=mebibytes * MIB,
        architecture="arm64" if arm else "x86_64",
        gpu=gpu,
        on_demand=on_demand,
        metal=name.endswith("-metal"),
    )
    bill = Bill(
        # A3 Mega has SKUs of its own, called A3Plus.
        series={"a3-megagpu": "a3plus", "a3-ultragpu": "a3ultra"}.get(
            name.rpartition("-")[0], series
        ),
        cores=Decimal(_SHARED.get(name, cpus)),
        gibibytes=Decimal(mebibytes) / 1024,
        gpu=sku,
        gpus=gpus,
        disks=int(item.get("bundledLocalSsds", {}).get("partitionCount", 0)),
        flat=name if name in _FLAT else None,
    )
    return Described(machine, bill)
