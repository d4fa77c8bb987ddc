"""Folders of spot traces, in the format of github.com/skypilot-org/spot-traces.

A file is one zone: ``{"metadata": {"gap_seconds": 300}, "data": [1, 0, …]}``, the machines
available at each tick. The files of one folder with one gap are the same machines in the same
period.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

_NODES = re.compile(r"(\d+)-node")


class TraceError(Exception):
    """What is wrong with a trace, in words, its file first."""


@dataclass(frozen=True)
class Zone:
    name: str
    up: tuple[bool, ...]


@dataclass(frozen=True)
class Group:
    """Zones of one folder; ``gap`` in seconds."""

    folder: Path
    gap: float
    zones: tuple[Zone, ...]


def load(folder: Path) -> list[Group]:
    """Every trace below ``folder``. Raises TraceError."""
    if not folder.is_dir():
        raise TraceError(f"{folder} is not a folder")
    files = sorted(folder.rglob("*.json"))
    if not files:
        raise TraceError(f"{folder} holds no *.json: one file for each zone is expected")
    read = {path: _read(path) for path in files}
    groups = []
    for parent, gap in sorted({(path.parent, gap) for path, (gap, _) in read.items()}):
        counts = {
            path.stem: data for path, (g, data) in read.items() if (path.parent, g) == (parent, gap)
        }
        asked = _machines(parent, counts)
        zones = [Zone(name, tuple(n >= asked for n in data)) for name, data in counts.items()]
        groups.append(Group(parent, gap, tuple(zones)))
    return groups


def starts(zone_ticks: int, group: Group, hours: float, count: int) -> list[int]:
    """Evenly spaced ticks at which a job of ``hours`` still fits. Raises TraceError."""
    last = zone_ticks - math.ceil(hours * 3600 / group.gap - 1e-9)
    if last < 0:
        raise TraceError(
            f"{group.folder}: {zone_ticks * group.gap / 3600:.1f} hours of trace are too short for "
            f"a deadline of {hours:g} hours"
        )
    return [round(k * last / max(1, count - 1)) for k in range(count)]


def _machines(folder: Path, counts: dict[str, list[int]]) -> int:
    """How many machines a request was for: the nearest ``16-node`` of the folder's path says it;
    without one, the most that were ever available in the folder, since a request gets no more."""
    for part in reversed(folder.resolve().parts):
        if match := _NODES.fullmatch(part):
            return max(1, int(match[1]))
    return max(1, *(max(data) for data in counts.values()))


def _read(path: Path) -> tuple[float, list[int]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise TraceError(f"{path}: not JSON: {error}") from None
    form = 'expected {"metadata": {"gap_seconds": 300}, "data": [1, 0, …]}'
    if not isinstance(content, dict) or not isinstance(content.get("metadata"), dict):
        raise TraceError(f"{path}: {form}")
    gap, data = content["metadata"].get("gap_seconds"), content.get("data")
    if isinstance(gap, bool) or not isinstance(gap, int | float) or not 0 < gap < math.inf:
        raise TraceError(f"{path}: gap_seconds is {gap!r}, not a number of seconds; {form}")
    if not isinstance(data, list) or not data:
        raise TraceError(f"{path}: data is not a list of counts; {form}")
    for tick, count in enumerate(data):
        whole = isinstance(count, int) or (isinstance(count, float) and count.is_integer())
        if isinstance(count, bool) or not whole or count < 0:
            raise TraceError(f"{path}: data[{tick}] is {count!r}, not a count of machines")
    return float(gap), [int(count) for count in data]
