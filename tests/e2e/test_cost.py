"""What runs cost, as the command line tells it: from the store, and from AWS's price history.

The bill is drawn up by each cloud's own prices; how it is told and of which runs is the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.emulated import EVERY_STUB, Emulator, Project
from support.words import Words

NOW = datetime.now(UTC)
MOVED = {
    "traffic": {"sent": 10 << 30, "received": 0},
    "log_bytes": 2 << 30,
}
SEED = """
import json, sys
from dstack_cloud import config, wiring
from dstack_cloud.state import attempts, runs
from dstack_cloud.state.runs import RunState
store = wiring.open_store_of(config.load(), sys.argv[1])
for one in json.load(sys.stdin):
    run = runs.submit(store, one["workflow"], lambda name: {})
    for number, (intent, machine, end) in enumerate(one["attempts"], 1):
        attempts.claim_attempt(store, run, number, intent)
        if machine:
            attempts.record_machine(store, run, number, machine)
        if end:
            attempts.record_end(store, run, number, end)
    runs.move(store, run, RunState.SUBMITTED, RunState(one["state"]))
    print(run)
"""


@pytest.fixture(scope="module")
def seeds() -> dict[str, Project]:
    """By cloud, what has been seeded."""
    return {}


@pytest.fixture
def seeded(
    stub: Emulator, seeds: dict[str, Project], tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """Three runs on record: one interrupted and finished on demand, one that goes on, one old."""
    if stub.words.cloud not in seeds:
        seeds[stub.words.cloud] = _seed(stub, tmp_path_factory.mktemp("project"))
    return seeds[stub.words.cloud]


def _seed(stub: Emulator, folder: Path) -> Project:
    words = stub.words
    moved = {**MOVED, "traffic": {**MOVED["traffic"], "region": words.other_region}}
    runs = [
        {
            "workflow": "train",
            "state": "done",
            "attempts": [
                _attempt(words, 5, 1, reason="interrupted", price="0.2", moved=moved),
                (_intent(words, 3.9), None, _end(3.8, "launch")),
                _attempt(words, 3, 2, reason="exited", price="1", spot=False),
            ],
        },
        {
            "workflow": "serve",
            "state": "running",
            "attempts": [_attempt(words, 1, None, None, "0.1")],
        },
        {"workflow": "odd", "state": "done", "attempts": [_attempt(words, 1, 0.5, "exited", None)]},
    ]
    done = subprocess.run(
        [sys.executable, "-c", SEED, stub.words.cloud],
        input=json.dumps(runs),
        env=stub.environ,
        text=True,
        capture_output=True,
        timeout=300,
    )
    assert done.stdout.split() == ["train-1", "serve-1", "odd-1"], done.stderr
    return Project(folder, stub.environ)


def _stamp(hours_ago: float) -> str:
    return (NOW - timedelta(hours=hours_ago)).isoformat()


def _intent(words: Words, hours_ago: float) -> dict[str, Any]:
    return {"at": _stamp(hours_ago), "regions": [words.region], "machines": [words.t4]}


def _end(hours_ago: float, reason: str) -> dict[str, Any]:
    return {"ended_at": _stamp(hours_ago), "reason": reason, "state": "done", "exit_code": 0}


def _attempt(
    words: Words,
    hours_ago: float,
    hours: float | None,
    reason: str | None,
    price: str | None,
    spot: bool = True,
    moved: dict[str, Any] | None = None,
) -> tuple[Any, Any, Any]:
    machine = {
        "cloud": words.cloud,
        "region": words.region,
        "id": "i-1",
        "machine": words.t4,
        "state": "running",
        "zone": words.zones[0],
        "spot": spot,
        "price": price,
        "on_demand": "1",
        "launched_at": _stamp(hours_ago),
        "disk": 90 << 30,
        "public": True,
        "host_key": "",
    }
    end = None if hours is None or reason is None else _end(hours_ago - hours, reason)
    if end is not None and moved is not None:
        end.update(moved)
    return _intent(words, hours_ago), machine, end


@EVERY_STUB
def test_by_attempt_and_in_total(stub: Emulator, seeded: Project) -> None:
    (run,) = seeded.json("cost", "train-1")["runs"]
    first, none, last = run["attempts"]
    # A disk of 90 GB and an address; it sent 10 GiB to a store in another region, and told 2 GiB
    # of log.
    bill = stub.words.bill
    assert first["parts"] == {"machine": "0.2000", **bill.parts}
    assert (first["cost"], first["on_demand_cost"]) == bill.spot
    assert (none["machine"], none["cost"]) == (None, "0")
    assert (last["spot"], last["cost"], last["on_demand_cost"]) == (False, *bill.on_demand)
    assert (run["cost"], run["on_demand_cost"]) == bill.both
    spent, whole = map(Decimal, bill.both)
    assert Decimal(run["saving"]) == pytest.approx(1 - spent / whole, abs=Decimal("0.0001"))


def test_a_run_that_goes_on_costs_more_by_the_hour(seeded: Project) -> None:
    (run,) = seeded.json("cost", "serve-1")["runs"]
    assert Decimal(run["cost"]) == pytest.approx(Decimal("0.115"), abs=Decimal("0.01"))
    assert run["attempts"][0]["ended_at"] is None


def test_all_runs_and_what_is_not_known(seeded: Project) -> None:
    found = seeded.json("cost")
    runs = {run["run"]: run for run in found["runs"]}
    assert set(runs) == {"train-1", "serve-1", "odd-1"}
    odd = runs["odd-1"]
    assert (odd["cost"], odd["parts"]["machine"], odd["parts"]["address"]) == (None, None, "0.0025")
    known = sum(Decimal(run["cost"]) for run in found["runs"] if run["cost"])
    assert abs(Decimal(found["total"]["cost"]) - known) <= Decimal("0.0001")
    assert found["total"]["unknown"] == 1
    table = seeded.cli("cost")
    assert table.returncode == 0, table.stderr
    assert "unknown" in next(row for row in table.stdout.splitlines() if row.startswith("odd-1"))
    assert "1 more of unknown cost" in table.stdout


def test_some_runs_only(seeded: Project) -> None:
    def names(*args: str) -> set[str]:
        return {run["run"] for run in seeded.json("cost", *args)["runs"]}

    assert names("--workflow", "serve") == {"serve-1"}
    assert names("--workflow", "nothing") == set()
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    assert names("--since", "1d") == {"train-1", "serve-1", "odd-1"}
    # What runs is on the bill whenever one asks.
    assert names("--since", tomorrow) == {"serve-1"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("cost", "nothing-1"), 64, "nothing-1"),
        (("cost", "--since", "yesterday"), 2, "--since"),
        (("cost", "--svg", "x.svg"), 2, "one run"),
        (("cost", "train-1", "--svg", "/nowhere/x.svg"), 2, "cannot be written"),
    ],
)
def test_bad_input(seeded: Project, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = seeded.cli(*arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_spot_prices_that_were_in_force(stub: Emulator, seeded: Project) -> None:
    """The emulated prices move: the bill is their integral over the attempt, by hand."""
    import boto3

    names = {"region_name": "us-east-1", "endpoint_url": stub.environ["AWS_ENDPOINT_URL"]}
    keys = {
        f"aws_{key.lower()}": stub.environ[f"AWS_{key}"]
        for key in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
    }
    start, end = NOW - timedelta(hours=5), NOW - timedelta(hours=4)
    history = boto3.client("ec2", **names, **keys).describe_spot_price_history(
        InstanceTypes=["g4dn.xlarge"],
        AvailabilityZone="us-east-1a",
        ProductDescriptions=["Linux/UNIX"],
        StartTime=start,
        EndTime=end,
    )["SpotPriceHistory"]
    amount, until = Decimal(0), end
    for row in sorted(history, key=lambda row: row["Timestamp"], reverse=True):
        since = max(row["Timestamp"], start)
        amount += Decimal(row["SpotPrice"]) * Decimal((until - since).total_seconds()) / 3600
        until = since
    (run,) = seeded.json("cost", "train-1", "--spot-history")["runs"]
    machine = Decimal(run["attempts"][0]["parts"]["machine"])
    assert machine != Decimal("0.2000")
    assert abs(machine - amount) < Decimal("0.0005")
    # On demand the price is the one that was recorded.
    assert run["attempts"][2]["parts"]["machine"] == "2.0000"


def test_a_picture(seeded: Project, tmp_path: Path) -> None:
    files = [tmp_path / "run.svg", tmp_path / "run.html"]
    done = seeded.cli(
        "cost", "train-1", "--picture", "--svg", str(files[0]), "--html", str(files[1])
    )
    assert done.returncode == 0, done.stderr
    assert "g4dn.xlarge us-east-1a" in done.stdout
    assert "✕" in done.stdout
    text = "".join(ET.fromstring(files[0].read_text()).itertext())
    assert "attempt 1: g4dn.xlarge us-east-1a, spot, interrupted" in text
    assert files[1].read_text().startswith("<!DOCTYPE html>")


def test_a_picture_without_prices(stub: Emulator, seeded: Project, tmp_path: Path) -> None:
    stub.post(
        "/_emulator/faults",
        {"action": "DescribeSpotPriceHistory", "error": "UnauthorizedOperation"},
    )
    done = seeded.cli("cost", "train-1", "--svg", str(tmp_path / "run.svg"))
    assert done.returncode == 0, done.stderr
    assert "could not be read" in done.stderr
    assert "no spot price is known" in (tmp_path / "run.svg").read_text()
