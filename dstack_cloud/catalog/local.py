"""This machine as an offer: what the local cloud has."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from decimal import Decimal

from dstack_cloud.catalog.gpus import resolve, sold_memory
from dstack_cloud.errors import InputError, NoOfferError
from dstack_cloud.resources import Gpu, Offer, ResourceRequest, ZonePrice
from dstack_cloud.units import format_size

_ASK_GPUS = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]


def this_machine(request: ResourceRequest) -> Offer:
    """This machine, for nothing. Raises NoOfferError where it has less than is asked for."""
    cpu, memory, gpu = os.cpu_count() or 1, _memory(), _gpu()
    short = []
    if request.cpu and cpu < request.cpu:
        short.append(f"{cpu} of {request.cpu} CPUs")
    if request.memory and memory < request.memory:
        short.append(f"{format_size(memory)} of {format_size(request.memory)} of memory")
    if request.gpu:
        name = resolve(request.gpu.name)[0] if request.gpu.name else None
        if gpu is None or gpu.count < request.gpu.count or name not in (None, gpu.name):
            wanted = f"{request.gpu.count}× {request.gpu.name or 'GPU'}"
            short.append(f"{gpu.count}× {gpu.name} where {wanted} are" if gpu else "no GPU")
    if short:
        raise NoOfferError(
            f"this machine has {', '.join(short)}",
            "ask for less, such as --gpu 0 for a first look, or for another cloud",
        )
    return Offer(
        cloud="local",
        region="local",
        machine="localhost",
        cpu=cpu,
        memory=memory,
        gpu=gpu,
        spot=False,
        price=Decimal(0),
        on_demand=Decimal(0),
        zones=(ZonePrice("local", Decimal(0)),),
        architecture={"aarch64": "arm64"}.get(platform.machine(), platform.machine()),
    )


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _gpu() -> Gpu | None:
    if shutil.which(_ASK_GPUS[0]) is None:
        return None
    try:
        asked = subprocess.run(_ASK_GPUS, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = [line.rpartition(",") for line in asked.stdout.splitlines() if "," in line]
    if not lines:
        return None
    text, _, mebibytes = lines[0]
    try:
        name = resolve(text)[0]
    except InputError:
        name = text.strip()
    return Gpu(name, len(lines), sold_memory(name, int(mebibytes)))
