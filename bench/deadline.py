"""What a deadline costs with the policy, beside on-demand only, greedy and Uniform Progress.

Replays every spot trace below a folder, each zone alone and the zones of a folder together, and
prints the mean cost over on-demand only, and the deadlines missed. With ``--cells`` every folder by
itself, at four ratios, and what of the gap to the bound is closed; without traces, made ones. See
bench/replay/.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from replay.cells import Row, Runs, Zones, made, real, table  # noqa: E402
from replay.cells import lines as cell_lines  # noqa: E402
from replay.rules import Job, Result, greedy, lower_bound, replay, uniform_progress  # noqa: E402
from replay.synthetic import markov  # noqa: E402
from replay.traces import TraceError, load, starts  # noqa: E402

from dstack_cloud.deadline import decide  # noqa: E402


def main() -> int:
    args = _arguments()
    job = Job(args.work, args.work * args.ratio, args.restart, args.price_ratio)
    try:
        if args.cells:
            print("\n".join(_cells(args)))
            return 0
        runs = _runs(args.traces, job, args.starts)
    except TraceError as error:
        print(f"✗ traces       {error}", file=sys.stderr)
        return 2
    found = {kind: compare(job, some) for kind, some in runs.items()}
    if args.json and args.rows:
        print(json.dumps([_row(found)], ensure_ascii=False))
    elif args.json:
        print(json.dumps(found))
    else:
        print("\n".join(_lines(found)))
    return 0


def _cells(args: argparse.Namespace) -> list[str]:
    def source(job: Job) -> Iterator[tuple[str, Runs]]:
        return real(args.traces, job, args.starts) if args.traces else made(job, args.starts)

    def job_of(ratio: float) -> Job:
        return Job(args.work, args.work * ratio, args.restart, args.price_ratio)

    return cell_lines(table(source, compare, job_of))


def compare(job: Job, runs: Sequence[tuple[Zones, float]]) -> dict[str, Row]:
    """Mean cost over on-demand only, misses and runs, by policy."""
    ways: dict[str, Callable[[Zones, float], Result]] = {
        "policy": lambda zones, gap: replay(job, decide, zones, gap),
        "greedy": lambda zones, gap: replay(job, greedy, zones, gap),
        "uniform_progress": lambda zones, gap: replay(
            job, partial(uniform_progress, job.work * 3600), zones, gap
        ),
        "bound": lambda zones, gap: Result(lower_bound(job, zones, gap), missed=False),
    }
    found: dict[str, Row] = {}
    for name, way in ways.items():
        results = [way(zones, gap) for zones, gap in runs]
        mean = sum(result.cost for result in results) / len(results)
        found[name] = {
            "cost": round(mean / job.on_demand_only, 4),
            "misses": sum(result.missed for result in results),
            "runs": len(results),
        }
    return found


def _runs(folder: Path | None, job: Job, count: int) -> dict[str, list[tuple[Zones, float]]]:
    if folder is None:  # `make bench`: no traces at hand, so made ones
        zones = [markov(seed, 300, days=10) for seed in (1, 2)]
        cut = [[zone[s:] for zone in zones] for s in range(0, 2000, 500)]
        return {
            "single": [([zone], 300.0) for some in cut for zone in some],
            "together": [(some, 300.0) for some in cut],
        }
    single: list[tuple[Zones, float]] = []
    together: list[tuple[Zones, float]] = []
    for group in load(folder):
        for zone in group.zones:
            begins = starts(len(zone.up), group, job.deadline, count)
            single += [([zone.up[s:]], group.gap) for s in begins]
        end = min(len(zone.up) for zone in group.zones)  # the period that all have
        begins = starts(end, group, job.deadline, count)
        together += [([zone.up[s:end] for zone in group.zones], group.gap) for s in begins]
    return {"single": single, "together": together}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=Path, help="folder of traces, searched to the bottom")
    parser.add_argument("--work", type=float, default=24, help="hours of work (24)")
    parser.add_argument("--ratio", type=float, default=1.25, help="deadline over work (1.25)")
    parser.add_argument("--restart", type=float, default=0.1, help="hours that a start takes (0.1)")
    parser.add_argument("--price-ratio", type=float, default=0.3, help="spot over on-demand (0.3)")
    parser.add_argument("--starts", type=int, default=16, help="jobs for each zone (16)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--cells", action="store_true", help="each folder, at ratios 1.1 to 2")
    args = parser.parse_args()
    args.rows = args.traces is None
    for name in ("work", "ratio", "restart", "price_ratio"):
        value = getattr(args, name)
        if not math.isfinite(value) or value < 0 or (name in ("work", "price_ratio") and not value):
            parser.error(f"--{name.replace('_', '-')} must be a number above 0, not {value}")
    if args.starts < 1:
        parser.error("--starts must be at least 1")
    if args.work * args.ratio < args.work + args.restart:
        parser.error(
            f"a deadline of {args.work * args.ratio:g} h cannot be met: {args.work:g} h of work "
            f"and a start of {args.restart:g} h need a --ratio of at least "
            f"{(args.work + args.restart) / args.work:.4g}"
        )
    return args


def _lines(table: dict[str, dict[str, Row]]) -> list[str]:
    lines = [f"{'':10}{'':18}{'cost':>8}{'misses':>8}{'runs':>6}"]
    for kind, rows in table.items():
        for name, row in rows.items():
            label = name.replace("_", " ")
            lines.append(f"{kind:10}{label:18}{row['cost']:8.4f}{row['misses']:8d}{row['runs']:6d}")
    return [*lines, "cost: mean, over on-demand only"]


def _row(table: dict[str, dict[str, Row]]) -> dict[str, object]:
    """One line for `make bench`: see README.md there."""
    rows = table["single"]
    value = rows["policy"]["cost"]
    peer = min(rows["greedy"]["cost"], rows["uniform_progress"]["cost"])
    return {
        "what": "cost under a deadline, made traces",
        "value": value,
        "unit": "of on-demand",
        "against": "the better of greedy and uniform progress",
        "peer": peer,
        "ratio": value / peer,
        "target": "≤ 1.02×",
        "met": value / peer <= 1.02,
    }


if __name__ == "__main__":
    sys.exit(main())
