"""One request over two clouds: where dependencies lie counts, and what one cloud has not got the
other is asked for. Both are stubs; nothing is on their machines."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.emulated import Emulator, Project
from support.shortages import latest, short

BULK = "compute.regionInstances.bulkInsert"
SIZE = 100_000_000
SEED = """
import sys
from dstack_cloud import config, wiring
from dstack_cloud.state import runs
from dstack_cloud.state.runs import RunState
store = wiring.open_store_of(config.load(), "aws")
record = {"workflow": "prepare", "artifacts": [{"path": "data"}],
          "container": {"working_dir": "/workflow"}}
run = runs.submit(store, "prepare", lambda _: record)
store.put(f"artifacts/{run}/data/numbers", b"7" * int(sys.argv[1]))
runs.settle(store, run, RunState.DONE)
"""
LOOK = """
from dstack_cloud import config, wiring
store = wiring.open_store_of(config.load(), "gcp")
print([(item.key, item.size) for item in store.list("artifacts/")])
"""
WORKFLOWS = """
    workflows:
      - name: prepare
        provider: docker
        image: ubuntu
        artifacts: [data]
        commands: [echo hello]
        resources: {cpu: 2, memory: 4GB}
      - name: train
        provider: docker
        image: ubuntu
        deps: [prepare]
        commands: [echo hello]
        resources: {cpu: 2, memory: 4GB}
      - name: alone
        provider: docker
        image: ubuntu
        commands: [echo hello]
        resources: {cpu: 2, memory: 4GB}
"""


@pytest.fixture(scope="module")
def clouds(
    stub: Emulator, gcp_stub: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Emulator, Emulator, dict[str, str]]:
    """AWS, Google Cloud, and the environment of somebody who has configured both."""
    file = tmp_path_factory.mktemp("both") / "config.yaml"
    config: dict[str, Any] = {}
    for one in (stub, gcp_stub):
        config |= yaml.safe_load(Path(one.environ["DSTACK_CLOUD_CONFIG"]).read_text())
    file.write_text(yaml.safe_dump(config))
    both = {**gcp_stub.environ, **stub.environ, "DSTACK_CLOUD_CONFIG": str(file)}
    return stub, gcp_stub, both


@pytest.fixture
def project(clouds: tuple[Emulator, Emulator, dict[str, str]], tmp_path: Path) -> Iterator[Project]:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    found = Project(tmp_path, clouds[2])
    found.workflows(WORKFLOWS)
    yield found
    for one in clouds[:2]:
        for machine in one.machines():
            one.post(f"/_emulator/machines/{machine['id']}/kill")
        for fault in one.get("/_emulator/faults"):
            one.delete(f"/_emulator/faults/{fault['id']}")


@pytest.fixture(scope="module")
def python(
    clouds: tuple[Emulator, Emulator, dict[str, str]],
) -> Callable[..., str]:
    """A script of the product's own modules, in that environment: its output."""

    def run(script: str, *args: str) -> str:
        command = [sys.executable, "-c", script, *args]
        done = subprocess.run(command, env=clouds[2], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def holds(
    clouds: tuple[Emulator, Emulator, dict[str, str]], python: Callable[..., str]
) -> Emulator:
    """Google Cloud asks some tenths of a cent less than AWS for such machines, and AWS has what
    `train` needs: 100 MB, 0.0084 $ to bring over."""
    stub = clouds[0]
    python(SEED, str(SIZE))
    return stub


def first_offers(project: Project, *arguments: str) -> dict[str, dict[str, Any]]:
    """The best offer of each cloud, in the plan's order."""
    found: dict[str, dict[str, Any]] = {}
    for one in project.json(*arguments)["offers"]:
        found.setdefault(one["cloud"], one)
    return found


def test_the_egress_of_dependencies_decides(holds: Emulator, project: Project) -> None:
    alone = first_offers(project, "run", "alone", "--dry-run")
    assert list(alone) == ["gcp", "aws"]
    assert {one["egress"] for one in alone.values()} == {"0"}
    plan = first_offers(project, "run", "train", "--dry-run")
    assert list(plan) == ["aws", "gcp"]
    assert plan["aws"]["egress"] == "0"
    assert float(plan["gcp"]["egress"]) == pytest.approx(0.09 * SIZE / 2**30, abs=1e-6)
    words = "gcp us-central1: 0.0084 $ egress for 95 MB of dependencies in the store of aws, once"
    told = project.cli("run", "train", "--dry-run").stderr
    assert f"{words}: 0.008 $/h over 1 h 00 m of work" in told
    explained = project.cli("offers", "--workflow", "train", "--explain", "--limit", "99")
    assert "prepare: 95 MB in the store of aws" in explained.stdout
    assert words in explained.stdout


def test_what_one_cloud_has_not_got_the_other_is_asked_for(
    holds: Emulator,
    clouds: tuple[Emulator, Emulator, dict[str, str]],
    project: Project,
    python: Callable[..., str],
) -> None:
    _, google, _ = clouds
    short(holds)
    begun = latest(google)
    done = project.cli("run", "train", "-y")
    assert done.returncode == 0, done.stderr
    assert "aws: none of" in done.stderr
    assert "gcp is asked next" in done.stderr
    assert "prepare: 95 MB from aws's store" in done.stderr
    assert BULK in google.actions(begun)
    # What it depends on came over first, into the store of its own cloud.
    expected = [("artifacts/aws:prepare-1/data/numbers", SIZE)]
    assert eval(python(LOOK)) == expected
    assert holds.machines() == google.machines() == []
    rows = [row for row in project.json("ps", "--all")["runs"] if row["run"] == "train-1"]
    assert {row["cloud"]: row["state"] for row in rows} == {"aws": "failed", "gcp": "done"}
    # It has cost what it took to bring that over.
    bills = [bill for bill in project.json("cost")["runs"] if bill["run"] == "train-1"]
    costs = sorted(float(bill["parts"]["transfer"]) for bill in bills)
    assert costs == [0, pytest.approx(0.0084, abs=1e-4)]


def test_where_no_cloud_has_a_machine_all_are_told(
    holds: Emulator, clouds: tuple[Emulator, Emulator, dict[str, str]], project: Project
) -> None:
    _, google, _ = clouds
    short(holds)
    fault = {"action": BULK, "error": "ZONE_RESOURCE_POOL_EXHAUSTED", "times": None}
    google.post("/_emulator/faults", fault)
    done = project.cli("run", "alone", "-y", "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["kind"]) == (69, "no-capacity")
    aws, gcp = error["message"].index("  aws: none of"), error["message"].index("  gcp: none of")
    assert "on-demand InsufficientInstanceCapacity" in error["message"][min(aws, gcp) :]
    assert "on-demand ZONE_RESOURCE_POOL_EXHAUSTED" in error["message"][min(aws, gcp) :]
    assert "--wait 30m" in error["hint"]


def test_where_no_cloud_has_an_offer_all_are_told(project: Project, holds: Emulator) -> None:
    done = project.cli("run", "alone", "-y", "--gpu", "T4:64", "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["kind"]) == (69, "no-offer")
    assert "aws: " in error["message"]
    assert "gcp: " in error["message"]
