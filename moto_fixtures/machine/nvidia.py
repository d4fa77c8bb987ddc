"""The emulated NVIDIA driver: just enough that ``docker run --gpus`` runs without a GPU. Pure.

Docker accepts ``--gpus`` where an executable ``nvidia-container-runtime-hook`` is on its PATH, and
runs it before the container's process. The real one brings devices and driver programs into the
container; this one brings the emulated ``nvidia-smi``.
"""

from __future__ import annotations

HOOK_PATH = "/usr/bin/nvidia-container-runtime-hook"
SMI_PATH = "/usr/bin/nvidia-smi"

DRIVER = "535.183.01"

HOOK = f"""#!/bin/sh
# The runtime's state, {{"bundle": DIR, ...}}, comes on standard input (OCI runtime specification).
[ "$1" = prestart ] || exit 0
bundle="$(sed -n 's/.*"bundle":"\\([^"]*\\)".*/\\1/p')"
root="$(sed -n 's/.*"root":{{"path":"\\([^"]*\\)".*/\\1/p' "$bundle/config.json")"
if [ -n "$root" ] && [ -d "$root/usr/bin" ]; then cp {SMI_PATH} "$root{SMI_PATH}"; fi
exit 0
"""


def smi(name: str, count: int) -> str:
    """An ``nvidia-smi`` that knows this machine's GPUs and the commonest ways to ask."""
    lines = [f"GPU {index}: {name} (UUID: GPU-{index:08x})" for index in range(count)]
    rows = [f"{index}, {name}" for index in range(count)]
    table = [f"| NVIDIA-SMI {DRIVER}   Driver Version: {DRIVER} (emulated) |"]
    table += [f"| {index:>3}  {name:<44} |" for index in range(count)]
    return f"""#!/bin/sh
case "$*" in
*--query-gpu=name*) printf '%s\\n' {_quoted([name] * count)} ;;
*--query-gpu=driver_version*) printf '%s\\n' {_quoted([DRIVER] * count)} ;;
*--query-gpu=*) printf '%s\\n' {_quoted(rows)} ;;
*-L* | *--list-gpus*) printf '%s\\n' {_quoted(lines)} ;;
*) printf '%s\\n' {_quoted(table)} ;;
esac
"""


def _quoted(texts: list[str]) -> str:
    return " ".join("'" + text.replace("'", "") + "'" for text in texts)
