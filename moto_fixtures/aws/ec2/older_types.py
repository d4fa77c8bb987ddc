"""GPU types that moto's data lacks, since AWS retired them or never let moto's authors list them.

Published workflows still name their GPUs, and the emulated account is one where they live on.
Figures: docs.aws.amazon.com/AWSEC2/latest/UserGuide (Accelerated computing, previous generation).
"""

from __future__ import annotations

import copy
from typing import Any

OFFERED_IN = ("us-east-1", "us-west-2", "eu-west-1", "ap-southeast-2")

# Type: (vCPUs, memory in GiB, GPUs, GPU name, memory of one GPU in MiB)
_FIGURES = {
    "p2.xlarge": (4, 61, 1, "K80", 12288),
    "p2.8xlarge": (32, 488, 8, "K80", 12288),
    "p2.16xlarge": (64, 732, 16, "K80", 12288),
    "p3.2xlarge": (8, 61, 1, "V100", 16384),
    "p3.8xlarge": (32, 244, 4, "V100", 16384),
    "p3.16xlarge": (64, 488, 8, "V100", 16384),
    "g3s.xlarge": (4, 30.5, 1, "M60", 8192),
    "g3.4xlarge": (16, 122, 1, "M60", 8192),
    "g3.8xlarge": (32, 244, 2, "M60", 8192),
    "g3.16xlarge": (64, 488, 4, "M60", 8192),
}


def older_types(pattern: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The types, each in the shape of ``pattern`` (a GPU type of moto's) with its own figures."""
    made = {}
    for name, (cpus, memory, count, gpu, gpu_memory) in _FIGURES.items():
        info = copy.deepcopy(pattern)
        info["InstanceType"] = name
        info["CurrentGeneration"] = False
        info["VCpuInfo"] = {
            "DefaultVCpus": cpus,
            "DefaultCores": cpus // 2,
            "DefaultThreadsPerCore": 2,
        }
        info["MemoryInfo"] = {"SizeInMiB": int(memory * 1024)}
        one = {"Name": gpu, "Manufacturer": "NVIDIA", "Count": count}
        info["GpuInfo"] = {
            "Gpus": [{**one, "MemoryInfo": {"SizeInMiB": gpu_memory}}],
            "TotalGpuMemoryInMiB": count * gpu_memory,
        }
        info["InstanceStorageSupported"] = False
        info.pop("InstanceStorageInfo", None)
        made[name] = info
    return made
