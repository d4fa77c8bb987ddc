"""What goes wrong while a run recovers: nothing is lost, and no second machine is left.

The machines are stubs that run the real agent; their jobs see this host's files, and wait for
some.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
from support import warm
from support.emulated import CLI, CLOUDS, Project, wait_until
from support.lane import Lane, lanes

_WORKFLOW = """
workflows:
  - name: {name}
    provider: docker
    image: ubuntu
    grace: 50s
    artifacts: [{{path: output, mount: true}}]
    resources: {{gpu: T4, interruptible: true}}
    {more}
    commands:
{commands}
"""
# The first attempt saves something while it is being taken away, once it may; the last one ends.
# Its grace is as long as its notice, nearly: it is the test that says when it has saved.
_SAVES = [
    "mkdir -p output",
    "echo attempt $DSTACK_ATTEMPT: $(ls output)",
    "touch output/begun",
    # The signal goes to all that run in the container.
    "trap 'echo told; until test -e {place}/go; do sleep 0.1 || :; done;"
    " echo late >output/late; exit 1' TERM",
    "test $DSTACK_ATTEMPT = {last} || while :; do sleep 0.1 || :; done",
    "cat output/late",
]


@pytest.fixture(scope="module", params=CLOUDS)
def lane(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lane]:
    with lanes(1, tmp_path_factory.mktemp("lanes"), request.param) as (found,):
        yield found


@dataclass(frozen=True)
class Case:
    """A workflow of one's own, the user who runs it, and a folder that its jobs see."""

    lane: Lane
    name: str
    environ: dict[str, str]
    place: Path

    @property
    def run(self) -> str:
        return f"{self.name}-1"

    def workflow(self, *commands: str, more: str = "", last: int = 2) -> None:
        lines = [line.format(place=self.place, last=last) for line in commands]
        file = self.lane.folder / ".dstack" / "workflows.yaml"
        file.parent.mkdir(exist_ok=True)
        text = "\n".join(f"      - |-\n        {line}" for line in lines)
        file.write_text(_WORKFLOW.format(name=self.name, more=more, commands=text))

    def begin(self, *words: str) -> ForkServerProcess:
        return warm.begin(
            *words, folder=self.lane.folder, environ=self.environ, output=self.place / words[0]
        )

    def ended(self, process: ForkServerProcess) -> int:
        return warm.ended(process)

    def words(self, verb: str, suffix: str = ".err") -> str:
        return (self.place / verb).with_suffix(suffix).read_text()

    def ask(self, *words: str) -> Any:
        return self.lane.ask(self.environ, *words)

    def row(self) -> tuple[str, int]:
        (row,) = [row for row in self.ask("ps", "--all")["runs"] if row["run"] == self.run]
        return row["state"], row["attempt"]

    def until_told(self) -> None:
        wait_until("the job was told", lambda: "told" in self.words("run", ".out"))

    def until_running(self, attempt: int = 1) -> None:
        key = f"artifacts/{self.run}/output/begun"
        wait_until("the first file", lambda: self.lane.keys(key))
        wait_until("the attempt", lambda: self.row() == ("running", attempt))

    def machine(self, attempt: int) -> str:
        """The id of an attempt's machine, once it is on record."""
        key = f"runs/{self.run}/attempts/{attempt}/machine.json"
        wait_until(key, lambda: self.lane.keys(key))
        (found,) = [
            row["id"]
            for row in self.lane.emulator.get("/_emulator/machines")
            if self.run in row["tags"].values() and str(attempt) in row["tags"].values()
        ]
        return str(found)

    def phase(self, attempt: int) -> str:
        """What an attempt's agent last told the store that it does."""
        key = f"runs/{self.run}/attempts/{attempt}/status.json"
        return str(json.loads(self.lane.read(key))["phase"]) if self.lane.keys(key) else ""

    def interrupt(self, attempt: int, notice_s: float = 60) -> None:
        order = self.lane.emulator.account.interruption(notice_s)
        self.lane.emulator.post(f"/_emulator/machines/{self.machine(attempt)}/interrupt", order)

    def go(self) -> None:
        (self.place / "go").touch()

    def late(self) -> list[str]:
        """The file that the first attempt writes at last, where the store has it."""
        return self.lane.keys(f"artifacts/{self.run}/output/late")

    def launches(self) -> int:
        ends = self.lane.ends(self.run)
        return len(ends)


@pytest.fixture
def case(lane: Lane, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Case]:
    name = "case" + os.urandom(3).hex()
    yield Case(lane, name, lane.home(name), tmp_path)
    lane.emulator.delete("/_emulator/faults")
    lane.clear()


def test_artifacts_that_are_gone_when_the_run_goes_on(case: Case) -> None:
    case.workflow(*_SAVES)
    case.go()
    assert case.ended(case.begin("run", case.name, "-y", "-d")) == 0
    case.until_running()
    case.interrupt(1)
    wait_until("it ended", lambda: case.row() == ("recovering", 1))
    case.lane.remove(case.late()[0])
    assert case.ended(case.begin("attach", case.run)) == 74
    told = case.words("attach")
    assert "artifacts to restore are gone: output had 2 files when attempt 1 ended" in told
    assert "dstack-cloud artifacts list" in told
    assert case.lane.machines_left(20) == []
    assert case.row() == ("failed", 2)
    assert case.lane.keys(f"artifacts/{case.run}/") == [f"artifacts/{case.run}/output/begun"]


def test_a_store_that_is_away_in_mid_sync(case: Case) -> None:
    case.workflow(
        "mkdir -p output",
        "touch output/begun",
        "until test -e {place}/one; do sleep 0.1; done",
        "echo early >output/late",
        "until test -e {place}/go; do sleep 0.1; done",
        "echo more >output/more",
        "echo the end",
    )
    client = case.begin("run", case.name, "-y")
    case.until_running()
    emulator = case.lane.emulator
    emulator.post("/_emulator/faults", {**emulator.words.store_away, "times": None})
    (case.place / "one").touch()
    wait_until("it is told", lambda: "artifacts are tried again" in case.words("run"))
    case.go()
    wait_until("its end", lambda: "the end" in case.words("run", ".out"))
    mark = case.lane.mark()
    wait_until("the machine insists", lambda: len(case.lane.calls(mark)) > 10)
    emulator.delete("/_emulator/faults")
    assert case.ended(client) == 0, case.words("run")
    names = [key.rpartition("/")[2] for key in case.lane.keys(f"artifacts/{case.run}/")]
    assert names == ["begun", "late", "more"]
    assert "output: 3 files" in case.words("run")
    assert case.row() == ("done", 1)
    assert case.lane.machines_left(20) == []


def test_a_stop_while_the_old_machine_saves_and_the_next_one_is_there(case: Case) -> None:
    case.workflow(*_SAVES)
    client = case.begin("run", case.name, "-y")
    case.until_running()
    case.interrupt(1)
    case.machine(2)
    case.until_told()
    stop = case.begin("stop", case.run)
    wait_until("the word to stop", lambda: case.lane.keys(f"runs/{case.run}/stop.json"))
    case.go()
    assert case.ended(stop) == 0, case.words("stop")
    # All is over when `stop` says so.
    assert case.lane.machines_left(0) == []
    assert case.late()
    assert case.row()[0] == "stopped"
    case.ended(client)
    assert case.row()[0] == "stopped"
    assert case.launches() == 2


def test_a_stop_while_the_cloud_is_asked_for_the_next_machine(case: Case) -> None:
    case.workflow(*_SAVES)
    client = case.begin("run", case.name, "-y")
    case.until_running()
    emulator = case.lane.emulator
    order = {"action": emulator.words.launch, "nth": 1, "when": "before"}
    hold = emulator.post("/_emulator/holds", order)
    case.interrupt(1)
    assert [one["state"] for one in emulator.get("/_emulator/holds?wait=60")] == ["waiting"]
    stop = case.begin("stop", case.run)
    wait_until("the word to stop", lambda: case.lane.keys(f"runs/{case.run}/stop.json"))
    case.go()
    assert case.ended(stop) == 0, case.words("stop")
    assert case.late()
    emulator.post(f"/_emulator/holds/{hold['id']}/release")
    case.ended(client)
    assert case.lane.machines_left(5) == []
    assert case.row()[0] == "stopped"


@pytest.mark.parametrize("notice_s", [2, 60])
def test_the_next_machine_is_taken_away_while_the_first_still_saves(
    case: Case, notice_s: int
) -> None:
    """Either it is gone before its job, or its agent finds the notice when it starts."""
    case.workflow(*_SAVES, last=3)
    client = case.begin("run", case.name, "-y")
    case.until_running()
    case.interrupt(1)
    case.until_told()
    second = case.machine(2)
    case.interrupt(2, notice_s)
    if notice_s < 10:
        wait_until("it is gone", lambda: _off(case.lane, second))
    case.go()
    assert case.ended(client) == 0, case.words("run")
    assert case.words("run", ".out").endswith("attempt 3: begun late\nlate\n")
    assert case.row() == ("done", 3)
    assert case.launches() == 3
    assert case.lane.machines_left(20) == []


def test_a_client_that_leaves_while_the_first_machine_saves(case: Case) -> None:
    """What it launched ends with it; the attempt after that waits for the first one's end."""
    case.workflow(*_SAVES, last=3)
    client = case.begin("run", case.name, "-y")
    case.until_running()
    case.interrupt(1)
    case.until_told()
    case.machine(2)
    assert client.pid is not None
    os.kill(client.pid, signal.SIGINT)
    assert case.ended(client) == 130, case.words("run")
    other = case.begin("attach", case.run)
    case.machine(3)
    wait_until("it waits", lambda: case.phase(3) == "restoring")
    case.go()
    assert case.ended(other) == 0, case.words("attach")
    assert case.words("attach", ".out").endswith("attempt 3: begun late\nlate\n")
    assert case.row() == ("done", 3)
    assert case.launches() == 3
    assert case.lane.machines_left(20) == []


def _off(lane: Lane, machine: str) -> bool:
    rows = lane.emulator.get("/_emulator/machines")
    return any(row["id"] == machine and row["state"] == "off" for row in rows)


# Our own clock only: the SDKs correct theirs by the service's.
_SKEWED = """
import sys
import dstack_cloud.units as units
from datetime import timedelta
true = units.utc_now
units.utc_now = lambda: true() + timedelta(seconds={seconds})
from dstack_cloud.cli.app import main
main()
"""


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_client_whose_clock_is_off(case: Case, seconds: int) -> None:
    """It gets its second attempt within the ten minutes that it allows, and sees no machine lost
    that runs."""
    case.workflow(
        "echo attempt $DSTACK_ATTEMPT", "exit 7", more="retry: {on: [7], attempts: 2, within: 10m}"
    )
    script = case.place / "skewed.py"
    script.write_text(_SKEWED.format(seconds=seconds))
    project = Project(case.lane.folder, case.environ)
    done = _run(project, script, "run", case.name, "-y")
    assert done.returncode == 7, done.stderr
    assert done.stdout == "attempt 1\nattempt 2\n"
    assert case.row() == ("failed", 2)
    assert case.launches() == 2


def _run(project: Project, script: Path, *words: str) -> Any:
    return subprocess.run(
        [CLI[0], str(script), *words],
        cwd=project.folder,
        env=project.environ,
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )
