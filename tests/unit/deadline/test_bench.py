"""The bench: its baselines against the known figures, its output, and what it says of bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from replay.cells import Cell, lines
from replay.rules import Job, greedy, lower_bound, on_demand_only, replay, uniform_progress
from replay.synthetic import KINDS
from replay.traces import load, starts

from dstack_cloud.deadline import decide

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "spot-traces"


def bench(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "bench" / "deadline.py"), *args]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def trace(path: Path, data: list[int], gap: float = 600) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"metadata": {"gap_seconds": gap}, "data": data}))


def test_it_prints_what_it_promises(tmp_path: Path) -> None:
    trace(tmp_path / "one" / "a.json", [1, 1, 0] * 60)
    trace(tmp_path / "one" / "b.json", [0, 0, 1, 1] * 40)
    trace(tmp_path / "two" / "c.json", [0] * 200, gap=300)
    done = bench("--traces", str(tmp_path), "--work", "5", "--starts", "2", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert found.keys() == {"single", "together"}
    for kind, runs in (("single", 6), ("together", 4)):
        assert found[kind].keys() == {"policy", "greedy", "uniform_progress", "bound"}
        assert all(row["runs"] == runs and not row["misses"] for row in found[kind].values())
    assert found["single"]["bound"]["cost"] <= found["single"]["policy"]["cost"]


def test_every_cell_is_printed_with_what_it_closes(tmp_path: Path) -> None:
    """A folder of two zones; `short` holds no deadline of twice the work."""
    trace(tmp_path / "one" / "a.json", [1, 1, 0, 0] * 40)
    trace(tmp_path / "one" / "b.json", [0, 0, 1, 1] * 40)
    trace(tmp_path / "short" / "c.json", [1] * 50)
    done = bench("--traces", str(tmp_path), "--work", "5", "--starts", "2", "--cells")
    rows = [line for line in done.stdout.splitlines() if line.startswith(("| one", "| short"))]
    assert done.returncode == 0
    assert [sum(name in row for row in rows) for name in ("one single", "one together")] == [4, 4]
    assert sum("short" in row for row in rows) == 6
    assert "deadlines missed: 0" in done.stdout


def test_the_share_that_is_closed() -> None:
    cell = Cell("x", 1.5, greedy=0.8, uniform_progress=0.6, policy=0.55, bound=0.5, misses=0)
    assert cell.over == pytest.approx(-0.05)
    assert cell.closed == pytest.approx(0.5)
    assert replace(cell, bound=0.58).closed is None
    summary = "\n".join(lines([cell, replace(cell, policy=0.62), replace(cell, ratio=1.1)]))
    assert "mean 0.150 of 2 cells" in summary
    assert "more than .005: 1 of 3 cells" in summary


def test_a_request_for_many_machines_needs_them_all(tmp_path: Path) -> None:
    trace(tmp_path / "4-node" / "x" / "a.json", [4, 3, 0, 5])
    trace(tmp_path / "plain" / "a.json", [2, 1])
    trace(tmp_path / "plain" / "b.json", [0, 1])
    many, plain = sorted(load(tmp_path), key=lambda group: len(group.zones))
    assert many.zones[0].up == (True, False, False, True)
    assert [zone.up for zone in plain.zones] == [(True, False), (False, False)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "holds no *.json"),
        ("{", "not JSON"),
        ('{"data": [1]}', "gap_seconds"),
        ('{"metadata": {"gap_seconds": 0}, "data": [1]}', "gap_seconds is 0"),
        ('{"metadata": {"gap_seconds": 60}, "data": []}', "data is not a list of counts"),
        ('{"metadata": {"gap_seconds": 60}, "data": [1, "x"]}', "data[1] is 'x'"),
        ('{"metadata": {"gap_seconds": 60}, "data": [1, 0]}', "too short for a deadline"),
    ],
)
def test_bad_traces_are_told_plainly(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "zone.json").write_text(content)
    done = bench("--traces", str(tmp_path), "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("args", [["--ratio", "1.0"], ["--starts", "0"], ["--work", "nan"]])
def test_bad_figures_are_told_plainly(tmp_path: Path, args: list[str]) -> None:
    done = bench("--traces", str(tmp_path), *args)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_the_rules_by_hand() -> None:
    """Two hours of work, half an hour a restart, a tick an hour, spot at 0.25."""
    job = Job(2, 4, 0.5, 0.25)
    assert replay(job, on_demand_only, [[False] * 4], 3600).cost == pytest.approx(2.5)
    assert replay(job, greedy, [[True] * 4], 3600).cost == pytest.approx(2.5 * 0.25)
    # The bound spreads the start over all the work that the time would allow, 3.5 hours.
    assert lower_bound(job, [[True] * 4], 3600) == pytest.approx(2 * 4 * 0.25 / 3.5, abs=1e-4)
    # Lost after a tick: half an hour done, then on-demand for half an hour of start and the rest.
    lost = [True, False, False, False]
    assert replay(job, greedy, [lost], 3600).cost == pytest.approx(0.25 + 2.0)
    # A move to another zone is a restart.
    moved = replay(replace(job, deadline=8), greedy, [[True, False] * 4, [False, True] * 4], 3600)
    assert moved.cost == pytest.approx(4 * 0.25)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_made_traces_cost_no_more_than_the_better_of_the_two(kind: str) -> None:
    job, gap = Job(8, 10, 0.1, 0.3), 600.0
    runs = [KINDS[kind](seed, gap)[s:] for seed in (1, 2) for s in range(0, 2700, 340)]

    def mean(policy: object) -> float:
        costs = [replay(job, policy, [zone], gap).cost for zone in runs]  # type: ignore[arg-type]
        return sum(costs) / len(costs) / job.on_demand_only

    best = min(mean(greedy), mean(partial(uniform_progress, job.work * 3600)))
    assert mean(decide) <= best + 0.02  # of 16 jobs; the bench's cells hold the tighter bound


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real traces are not at ../shared/spot-traces")
@pytest.mark.parametrize(
    ("ratio", "known"),
    [
        (1.1, (0.823, 0.723, 0.652)),
        (1.25, (0.733, 0.663, 0.610)),
        (1.5, (0.642, 0.641, 0.570)),
        (2.0, (0.569, 0.617, 0.518)),
    ],
)
def test_known_figures_of_the_baselines(ratio: float, known: tuple[float, float, float]) -> None:
    job = Job(24, 24 * ratio, 0.1, 0.3)
    [group] = load(SHARED / "availability" / "1-node" / "aws-10-26-2022")
    costs = []
    for zone in group.zones:
        for s in starts(len(zone.up), group, job.deadline, 16):
            up = [zone.up[s:]]
            uniform = replay(job, partial(uniform_progress, 24 * 3600), up, group.gap)
            bound = lower_bound(job, up, group.gap)
            costs.append((replay(job, greedy, up, group.gap).cost, uniform.cost, bound))
    means = [sum(column) / len(costs) / job.on_demand_only for column in zip(*costs, strict=True)]
    assert means == pytest.approx(known, abs=0.0015)
