"""Cells: sets of jobs whose mean costs are compared, each beside the better of two baselines."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from replay.rules import Job
from replay.synthetic import KINDS, together
from replay.traces import TraceError, load, starts

Zones = Sequence[Sequence[bool]]
Runs = list[tuple[Zones, float]]
Row = dict[str, float | int]
RATIOS = (1.1, 1.25, 1.5, 2.0)
# Below this gap to the bound, its share says nothing; below this ratio there is little to choose.
_GAP, _RATIO = 0.03, 1.25


@dataclass(frozen=True)
class Cell:
    """Means over on-demand only; ``over`` the better of greedy and Uniform Progress."""

    name: str
    ratio: float
    greedy: float
    uniform_progress: float
    policy: float
    bound: float
    misses: int

    @property
    def over(self) -> float:
        return self.policy - min(self.greedy, self.uniform_progress)

    @property
    def closed(self) -> float | None:
        """The share of the gap from the better of the two to the bound; None for a small gap."""
        gap = min(self.greedy, self.uniform_progress) - self.bound
        return -self.over / gap if gap > _GAP else None


def real(folder: Path, job: Job, count: int) -> Iterator[tuple[str, Runs]]:
    """Single zones and zones together of each folder of traces in which the job fits."""
    for group in load(folder):
        label = "/".join(group.folder.relative_to(folder).parts) or group.folder.name
        single: Runs = []
        for zone in group.zones:
            try:
                begins = starts(len(zone.up), group, job.deadline, count)
            except TraceError:
                continue
            single += [([zone.up[s:]], group.gap) for s in begins]
        if single:
            yield f"{label} single", single
        end = min(len(zone.up) for zone in group.zones)
        try:
            begins = starts(end, group, job.deadline, count)
        except TraceError:
            continue
        both = [([zone.up[s:end] for zone in group.zones], group.gap) for s in begins]
        yield f"{label} together", both


def made(job: Job, count: int) -> Iterator[tuple[str, Runs]]:
    """Made traces of every kind, ticks of 600 s: 4 seeds, ``count`` starts in each."""
    gap = 600.0
    room = int(20 * 86400 / gap) - math.ceil(job.deadline * 3600 / gap)
    begins = [k * room // max(1, count) for k in range(count)]
    for kind in KINDS:
        for zones, alike in ((1, False), (3, False), (3, True)):
            sets = [together(kind, seed, gap, zones, alike=alike) for seed in (1, 2, 3, 4)]
            label = f"{kind}, {zones}{' alike' if alike else ''}"
            yield label, [([up[s:] for up in one], gap) for one in sets for s in begins]


def table(
    source: Callable[[Job], Iterator[tuple[str, Runs]]],
    compare: Callable[[Job, Runs], Mapping[str, Row]],
    job_of: Callable[[float], Job],
) -> list[Cell]:
    found = []
    for ratio in RATIOS:
        job = job_of(ratio)
        if job.deadline < job.on_demand_only:
            continue
        for name, runs in source(job):
            rows = compare(job, runs)
            cost = {key: float(row["cost"]) for key, row in rows.items()}
            misses = int(rows["policy"]["misses"])
            found.append(Cell(name, ratio, **cost, misses=misses))
    return found


def lines(cells: Sequence[Cell]) -> list[str]:
    """Every cell as a row of a Markdown table, and the summary."""
    out = [
        "| zones | ratio | greedy | Uniform Progress | policy | bound | over the better | closed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in cells:
        closed = "–" if one.closed is None else f"{one.closed:.2f}"
        out.append(
            f"| {one.name} | {one.ratio:g} | {one.greedy:.4f} | {one.uniform_progress:.4f} | "
            f"{one.policy:.4f} | {one.bound:.4f} | {one.over:+.4f} | {closed} |"
        )
    counted = [one.closed for one in cells if one.ratio >= _RATIO and one.closed is not None]
    if counted:
        mean = sum(counted) / len(counted)
        out.append(f"gap closed: mean {mean:.3f} of {len(counted)} cells of a ratio >= {_RATIO}")
    if cells:
        worst = max(cells, key=lambda one: one.over)
        bad = sum(one.over > 0.005 for one in cells)
        out.append(f"over the better by more than .005: {bad} of {len(cells)} cells")
        out.append(f"worst: {worst.over:+.4f}, {worst.name}, ratio {worst.ratio:g}")
    out.append(f"deadlines missed: {sum(one.misses for one in cells)}")
    return out
