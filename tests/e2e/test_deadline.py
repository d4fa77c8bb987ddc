"""A run with a deadline: on what kind of machine it starts, when it moves, and what is refused.

Every cloud ends a machine and launches the next, so the moves are made on each. What is decided is
decided by the same rules for all.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.emulated import CLI, EVERY_STUB, Emulator, Project, wait_until
from support.refusals import refused
from support.shortages import latest, launches, short, tidied

FILE = ".dstack/workflows.yaml"
# A start is reckoned as 10 s, decisions are 5 s apart: from 35 s on the rest may be lost.
WORK = """
    workflows:
      - name: work
        provider: bash
        resources: {gpu: T4, interruptible: true}
        duration: 20s
        deadline: 36s
        grace: 1s
        commands:
          - echo "attempt $DSTACK_ATTEMPT"
"""
# It says that all of its work is left until it is somewhere else.
STUCK = """
    workflows:
      - name: stuck
        provider: bash
        resources: {gpu: T4, interruptible: true}
        artifacts: [{path: output}]
        duration: 20s
        deadline: 90s
        grace: 5s
        commands:
          - mkdir -p output
          - echo "attempt $DSTACK_ATTEMPT, $(cat output/made 2>/dev/null)"
          - echo "made by $DSTACK_ATTEMPT" > output/made
          - >-
            while test "$DSTACK_ATTEMPT" = 1;
            do echo 0.006 > "$DSTACK_PROGRESS_FILE"; sleep 0.5; done
"""


HEAD = """\
workflows:
  - name: train
    provider: docker
    image: ubuntu
"""


@pytest.fixture
def cloud(stub: Emulator) -> Iterator[Emulator]:
    yield from tidied(stub)


@pytest.fixture
def project(cloud: Emulator, tmp_path: Path) -> Project:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    found = Project(tmp_path, cloud.environ)
    return found.configured(tmp_path / "config" / "config.yaml", timers={"restart": "10s"})


def kinds(project: Project, run: str) -> list[tuple[bool, str]]:
    """Of the run's attempts: whether each was on a spot machine, and why it ended."""
    (bill,) = project.json("cost", run)["runs"]
    return [(one["spot"], one["reason"]) for one in bill["attempts"]]


def last_run(project: Project) -> str:
    return str(project.json("ps", "--all")["runs"][-1]["run"])


def test_with_time_to_lose_it_starts_on_spot(cloud: Emulator, project: Project) -> None:
    project.workflows(WORK)
    done = project.cli("run", "work", "-y", "--deadline", "10h")
    assert done.returncode == 0, done.stderr
    assert "deadline 10 h 00 m: 20.0 s of work" in done.stderr
    assert "at first a spot machine" in done.stderr
    assert kinds(project, last_run(project)) == [(True, "exited")]


def test_without_it_starts_on_demand(cloud: Emulator, project: Project) -> None:
    project.workflows(WORK)
    done = project.cli("run", "work", "-y")
    assert done.returncode == 0, done.stderr
    assert "at first a machine on demand" in done.stderr
    assert kinds(project, last_run(project)) == [(False, "exited")]


@EVERY_STUB
def test_it_moves_to_a_machine_on_demand_when_its_slack_is_gone(
    cloud: Emulator, project: Project
) -> None:
    project.workflows(STUCK)
    run = project.cli("run", "stuck", "-y", "-d").stdout.strip()
    # Whoever follows decides: here a client that knows only what is on record.
    done = project.cli("attach", run)
    assert done.returncode == 0, done.stderr
    assert "on to a machine on demand" in done.stderr
    # One log, one run, and the work of the first machine on the second.
    assert done.stdout.startswith("attempt 1, \n")
    assert done.stdout.endswith("attempt 2, made by 1\n")
    assert kinds(project, run) == [(True, "moved"), (False, "exited")]
    assert project.state(run) == "done"
    assert cloud.machines() == []


@EVERY_STUB
def test_an_interrupted_run_goes_on_by_the_same_policy(cloud: Emulator, project: Project) -> None:
    project.workflows(STUCK)
    client = project.start("run", "stuck", "-y", "--deadline", "10h", "--gpu", "V100")
    (machine,) = wait_until("a machine", cloud.machines)
    run = wait_until("a run", lambda: project.json("ps")["runs"])[-1]["run"]
    wait_until("it runs", lambda: project.state(run) == "running")
    cloud.post(f"/_emulator/machines/{machine['id']}/interrupt", cloud.account.interruption(20))
    out, err = client.communicate(timeout=300)
    assert client.returncode == 0, err
    assert out.endswith("attempt 2, made by 1\n")
    assert kinds(project, run) == [(True, "interrupted"), (True, "exited")]


def test_it_waits_for_spot_while_there_is_time(cloud: Emulator, project: Project) -> None:
    project.workflows(WORK)
    fault, begun = short(cloud, spot="true"), latest(cloud)
    # What is short is remembered: other machines than those of the other tests.
    client = project.start("run", "work", "-y", "--deadline", "10h", "--gpu", "A10G")
    wait_until("it asked again", lambda: len(launches(cloud, begun)) > 1)
    cloud.delete(f"/_emulator/faults/{fault}")
    _, told = client.communicate(timeout=300)
    assert client.returncode == 0, told
    assert kinds(project, last_run(project)) == [(True, "exited")]


def test_it_waits_for_spot_no_longer_than_the_deadline_allows(
    cloud: Emulator, project: Project
) -> None:
    project.workflows(WORK)
    short(cloud, spot="true")
    done = project.cli("run", "work", "-y", "--deadline", "50s", "--gpu", "L4")
    assert done.returncode == 0, done.stderr
    assert kinds(project, last_run(project)) == [(False, "exited")]


# On spot it says that all of its work is left; on demand, once, that little is; then it ends.
BACK = """
    workflows:
      - name: back
        provider: bash
        resources: {gpu: T4, interruptible: true}
        artifacts: [{path: output}]
        duration: 280s
        deadline: 300s
        grace: 1s
        commands:
          - mkdir -p output
          - echo "attempt $DSTACK_ATTEMPT, $(cat output/made 2>/dev/null)"
          - echo "made by $DSTACK_ATTEMPT" > output/made
          - >-
            while test "$DSTACK_ATTEMPT" = 1;
            do echo 0.025 > "$DSTACK_PROGRESS_FILE"; sleep 0.5; done
"""


@EVERY_STUB
def test_it_goes_back_to_spot_when_there_is_time_to_lose(cloud: Emulator, project: Project) -> None:
    project.workflows(BACK)
    done = project.cli("run", "back", "-y", "--gpu", "V100")
    assert done.returncode == 0, done.stderr
    assert "back to spot: " in done.stderr
    assert done.stdout.startswith("attempt 1, \n")
    assert done.stdout.endswith("attempt 2, made by 1\n")
    run = last_run(project)
    assert kinds(project, run) == [(False, "moved"), (True, "exited")]
    assert project.state(run) == "done"
    assert cloud.machines() == []


def test_beside_a_machine_on_demand_it_looks_for_spot_and_waits_for_it_where_that_is_cheaper(
    cloud: Emulator, project: Project
) -> None:
    project.workflows(BACK)
    earlier = {one["run"] for one in project.json("ps", "--all")["runs"]}
    begun, fault = latest(cloud), short(cloud, spot="true")
    client = project.start("run", "back", "-y")

    def attempt_of_new() -> tuple[str, int]:
        rows = [one for one in project.json("ps")["runs"] if one["run"] not in earlier]
        return (rows[0]["run"], rows[0]["attempt"]) if rows else ("", 0)

    wait_until("it waits", lambda: attempt_of_new()[1] == 2)
    run, _ = attempt_of_new()
    # Spot was asked for while the machine worked: only then it was let go.
    spot = [asked.spot for asked in launches(cloud, begun)]
    assert spot.index(False) < len(spot) - 1 - spot[::-1].index(True)
    wait_until("nothing runs", lambda: cloud.machines() == [])
    cloud.delete(f"/_emulator/faults/{fault}")
    out, err = client.communicate(timeout=300)
    assert client.returncode == 0, err
    assert "spot is waited for" in err
    assert out.endswith("attempt 2, made by 1\n")
    assert kinds(project, run) == [(False, "moved"), (True, "exited")]
    assert cloud.machines() == []


# Our own clock only: the SDKs correct theirs by the service's.
_BEHIND = """
import time
from datetime import timedelta
import dstack_cloud.units as units
now, wall = units.utc_now, time.time
units.utc_now = lambda: now() - timedelta(hours=1)
time.time = lambda: wall() - 3600
from dstack_cloud.cli.app import main
main()
"""


def test_a_run_submitted_by_a_clock_an_hour_behind_is_not_an_hour_old(
    cloud: Emulator, project: Project, tmp_path: Path
) -> None:
    project.workflows(BACK)
    (tmp_path / "behind.py").write_text(_BEHIND)
    words = [CLI[0], str(tmp_path / "behind.py"), "run", "back", "-y", "-d", "--gpu", "V100"]
    begun = subprocess.run(
        [*words, "--max-cost", "1"],
        cwd=project.folder,
        env=project.environ,
        capture_output=True,
        text=True,
    )
    assert begun.returncode == 0, begun.stderr
    run = begun.stdout.strip()
    done = project.cli("attach", run)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("attempt 2, made by 1\n")
    assert kinds(project, run) == [(False, "moved"), (True, "exited")]
    # Minutes of V100s: 3.06 $ an hour on demand.
    (bill,) = project.json("cost", run)["runs"]
    assert 0 < float(bill["cost"]) < 0.3


@pytest.mark.parametrize(
    ("lines", "options", "place", "words"),
    [
        ("    deadline: 36h\n", [], "5:15", "how long the work takes"),
        ("    duration: 36h\n", [], "5:15", "only with a deadline"),
        ("", ["--deadline", "36h"], "2:11", "how long the work takes"),
        ("    duration: 20h\n", ["--deadline", "soon"], None, "--deadline: 'soon'"),
        ("    duration: 20h\n    deadline: 18h\n", [], "6:15", "2 h 00 m too late"),
        (
            "    duration: 20h\n    deadline: 18h\n",
            ["--deadline", "19h"],
            None,
            "1 h 00 m too late",
        ),
    ],
)
def test_deadlines_that_cannot_be_kept(
    stub: Emulator,
    project: Project,
    lines: str,
    options: list[str],
    place: str | None,
    words: str,
) -> None:
    project.workflows(HEAD + lines)
    found = refused(stub, project, "run", "train", "-y", *options)
    assert (found.document["kind"], found.document["exit_code"]) == ("input", 2)
    assert words in found.told
    assert found.place == (f"{FILE}:{place}" if place else "")
