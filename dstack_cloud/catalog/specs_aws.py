"""From AWS's description of an instance type to the catalog's, and which types are left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dstack_cloud.catalog.gpus import resolve, sold_memory
from dstack_cloud.catalog.models import MachineType
from dstack_cloud.errors import InputError
from dstack_cloud.resources import Gpu
from dstack_cloud.units import MIB

# Accelerators that no container of ours can use, and that nobody who asks for a CPU wants to pay.
_OTHER_ACCELERATORS = (
    "FpgaInfo",
    "InferenceAcceleratorInfo",
    "MediaAcceleratorInfo",
    "NeuronInfo",
)
# dl1 (Habana) describes its accelerators as GPUs, dl2q (Qualcomm) and trn2u describe none.
_OTHER_FAMILIES = ("dl1", "dl2q", "trn2u")


def machine_type(described: Mapping[str, Any]) -> MachineType | None:
    """One item of DescribeInstanceTypes; None for a type that the catalog leaves out.

    Left out: Macs, accelerators other than NVIDIA's GPUs, GPUs sold in fractions (a driver of
    their own), what is sold as capacity blocks only, and what cannot boot an HVM image from EBS.
    """
    name: str = described["InstanceType"]
    usage = described.get("SupportedUsageClasses", ())
    spot, on_demand = "spot" in usage, "on-demand" in usage
    boots = "hvm" in described.get("SupportedVirtualizationTypes", ("hvm",)) and "ebs" in (
        described.get("SupportedRootDeviceTypes", ("ebs",))
    )
    offered = described["ProcessorInfo"]["SupportedArchitectures"]
    architecture = next((one for one in ("x86_64", "arm64") if one in offered), None)
    if not (boots and architecture and (spot or on_demand)):
        return None
    if name.partition(".")[0] in _OTHER_FAMILIES or any(
        described.get(key) for key in _OTHER_ACCELERATORS
    ):
        return None
    gpu = None
    if described.get("GpuInfo"):
        gpu = _gpu(described["GpuInfo"])
        if gpu is None:
            return None
    return MachineType(
        name=name,
        cpu=int(described["VCpuInfo"]["DefaultVCpus"]),
        memory=int(described["MemoryInfo"]["SizeInMiB"]) * MIB,
        architecture=architecture,
        gpu=gpu,
        spot=spot,
        on_demand=on_demand,
        metal=bool(described.get("BareMetal")),
    )


def _gpu(info: Mapping[str, Any]) -> Gpu | None:
    kinds = info.get("Gpus", ())
    if len(kinds) != 1 or str(kinds[0].get("Manufacturer", "")).upper() != "NVIDIA":
        return None
    kind = kinds[0]
    count, memory = kind.get("Count", 0), kind.get("MemoryInfo", {}).get("SizeInMiB", 0)
    if not count or not memory:
        return None
    try:
        name = resolve(kind["Name"])[0]
    except InputError:  # A GPU that is newer than our table is still a GPU.
        name = str(kind["Name"])
    return Gpu(name, int(count), sold_memory(name, int(memory)))
