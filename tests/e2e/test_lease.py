"""The client that launches the next machine is killed or falls asleep: another one takes over
within the lease's time, exactly one does, and no second machine stays.

The machines are stubs that run the real agent.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from fnmatch import fnmatch
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from support import warm
from support.emulated import wait_until
from support.lane import USER, Call, Lane, lanes

# A machine's own timer has no part in this; the lease is a sixth of the heartbeat.
TIMERS = {"no_job": "10m", "heartbeat": "18s"}
LEASE_S = 3
# Between two writes nothing changes: killed after each is killed anywhere.
_WRITES = "[PCT]*"
# What is deleted and revoked, too; Describe is none of them.
_CHANGES = "[PCTDR]?[!s]*"
_WORKFLOW = """
workflows:
  - name: {name}
    provider: docker
    image: ubuntu
    grace: 5s
    retry: {retry}
    resources: {{gpu: T4, interruptible: true}}
    commands:
      - echo attempt $DSTACK_ATTEMPT
      - until test -e {go}; do sleep 0.1; done
"""


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    with lanes(1, tmp_path_factory.mktemp("lanes")) as (found,):
        yield found


class Interrupted:
    """A run of which nobody follows the first attempt, which the cloud has taken back."""

    def __init__(self, lane: Lane, name: str, place: Path, retry: str) -> None:
        self.lane, self.name, self.place = lane, name, place
        self.run = f"{name}-1"
        self.environ = lane.home(name, **TIMERS)
        file = lane.folder / ".dstack" / "workflows.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(_WORKFLOW.format(name=name, retry=retry, go=place / "go"))
        assert lane.run(self.environ, "run", name, "-y", "-d") == 0, lane.said()
        wait_until("it runs", lambda: self.row() == ("running", 1))
        (first,) = self.machines()
        lane.emulator.post(f"/_emulator/machines/{first}/interrupt", {"notice_s": 20})
        wait_until("it is between two attempts", lambda: self.row() == ("recovering", 1))

    def row(self) -> tuple[str, int]:
        rows = self.lane.ask(self.environ, "ps", "--all")["runs"]
        (row,) = [row for row in rows if row["run"] == self.run]
        return row["state"], row["attempt"]

    def machines(self, *, off: bool = False) -> list[str]:
        rows = self.lane.emulator.get("/_emulator/machines")
        ours = [row for row in rows if self.run in row["tags"].values()]
        return [row["id"] for row in ours if (row["state"] == "off") == off]

    def has(self, attempt: int, document: str) -> bool:
        return bool(self.lane.keys(f"runs/{self.run}/attempts/{attempt}/{document}.json"))

    def begin(self, name: str, *words: str) -> ForkServerProcess:
        """A command that has its own say."""
        return warm.begin(
            *words, folder=self.lane.folder, environ=self.environ, output=self.place / name
        )

    def attach(self, name: str) -> ForkServerProcess:
        return self.begin(name, "attach", self.run)

    def said(self, name: str, suffix: str = ".err") -> str:
        return (self.place / name).with_suffix(suffix).read_text()

    def attempts_of(self, name: str) -> list[int]:
        """Whose output a client has told."""
        lines = self.said(name, ".out").splitlines()
        return [int(line.split()[1]) for line in lines if line.startswith("attempt ")]

    def held(self, name: str, action: str, nth: int, when: str) -> tuple[ForkServerProcess, str]:
        """A client that follows, as far as this call of its own, and the hold."""
        hold = self.order(action, nth, when)
        client = self.attach(name)
        assert self.reached(client), self.said(name)
        return client, hold

    def order(self, action: str, nth: int, when: str) -> str:
        """Hold such a call of a client's; the hold's id."""
        order = {"action": action, "nth": nth, "when": when, "principal": USER}
        return str(self.lane.emulator.post("/_emulator/holds", order)["id"])

    def reached(self, client: ForkServerProcess) -> bool:
        """Whether the one call that is held comes, or the client ends without it."""
        deadline = time.monotonic() + 90
        while client.is_alive() and time.monotonic() < deadline:
            found = self.lane.emulator.get("/_emulator/holds?wait=1")
            if [one["state"] for one in found] == ["waiting"]:
                return True
        return False

    def killed_after(self, write: str) -> str:
        """Kill a client that goes on, after its first such write if nothing comes between; after
        which it was. A launch that takes long renews its lease, so that it may be an earlier one.
        """
        attempt = self.row()[1]
        recorded, there = self.has(attempt, "machine"), bool(self.machines())
        before: list[str] = []
        if not self.has(attempt, "end"):
            before = ["lease", "machine", "terminate", "end", "index"]
            if recorded or not there:
                before.remove("machine")
            if not there:
                before.remove("terminate")
            if recorded and not there:
                before.remove("lease")
        writes = [*before, "intent", "index", "template", "fleet", "machine"]
        nth = len(writes) if write == "own machine" else writes.index(write) + 1
        mark, name = self.lane.mark(), f"client{self.lane.mark()}"
        assert self.killed(name, nth, "attach", self.run), (write, writes, self.said(name))
        done = [
            call
            for call in self.lane.calls(mark)
            if call["principal"] == USER and fnmatch(call["action"], _WRITES)
        ]
        return _name(done[nth - 1])

    def killed(self, name: str, nth: int, *words: str, what: str = _WRITES) -> bool:
        """Kill a command after its ``nth`` such call; False when it has not so many."""
        self.order(what, nth, "after")
        client = self.begin(name, *words)
        found = self.reached(client)
        client.kill()
        code = warm.ended(client)
        self.lane.emulator.delete("/_emulator/holds")
        assert found or code == 0, self.said(name)
        if found:
            # What it had sent is carried out all the same.
            wait_until("all is answered", lambda: not self._pending())
        return found

    def _pending(self) -> bool:
        calls = self.lane.calls(0)[-50:]
        return any(call["outcome"] in ("pending", "held") for call in calls)

    def release(self, hold: str, *, drop: bool = False) -> None:
        self.lane.emulator.post(f"/_emulator/holds/{hold}/release", {"drop": drop})

    def go(self) -> None:
        (self.place / "go").touch()


def _name(call: Call) -> str:
    """What a write is of."""
    key = str(call["parameters"].get("Key", ""))
    if key:
        return "index" if key.startswith("index/") else key.rpartition("/")[2].split(".")[0]
    names = {"CreateLaunchTemplate": "template", "CreateFleet": "fleet"}
    return names.get(call["action"], "terminate")


@pytest.fixture
def run(lane: Lane, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Interrupted]:
    retry = getattr(request, "param", "{on: [interruption]}")
    yield Interrupted(lane, "lease" + os.urandom(3).hex(), tmp_path, retry)
    lane.clear()


def test_killed_after_each_write_of_a_takeover_and_a_launch(run: Interrupted) -> None:
    """Each client goes on where the one before was killed."""
    for write in (
        "intent",
        "lease",
        "end",
        "index",
        "template",
        "fleet",
        "machine",  # By who takes over: that the fleet's machine was the attempt's.
        "terminate",
        "own machine",
    ):
        tries = 0
        while run.killed_after(write) != write.rpartition(" ")[2]:
            tries += 1
            assert tries < 5, write
        assert run.row()[0] == "recovering"
        assert len(run.machines()) <= 1
    attempt = run.row()[1]
    begun = time.monotonic()
    rivals = [run.attach(f"rival{number}") for number in range(3)]
    wait_until("it goes on", lambda: run.row() == ("running", attempt + 1))
    assert time.monotonic() - begun < LEASE_S + 26
    assert len(run.machines()) == 1
    run.go()
    assert [warm.ended(rival) for rival in rivals] == [0, 0, 0], run.said("rival0")
    for number in range(3):
        assert run.attempts_of(f"rival{number}") == [1, attempt + 1]
    taken = [run.said(f"rival{number}").count("is taken over") for number in range(3)]
    assert sum(taken) == 1
    assert run.row() == ("done", attempt + 1)
    assert run.lane.machines_left(20) == []
    # What was launched, and no job reached it, was ended by those who took over, not by a timer.
    assert "poweroff" not in run.lane.ends(run.run)[1:-1]
    assert run.lane.run(run.environ, "gc", "-y") == 0
    assert run.lane.left() == []


@pytest.mark.parametrize("launched", [False, True])
def test_a_stop_and_a_gc_killed_after_each_change_are_finished_by_another(
    run: Interrupted, launched: bool
) -> None:
    """Between two attempts; and where a client was killed whose machine has no job."""
    if launched:
        client, hold = run.held("client", "CreateFleet", 1, "after")
        client.kill()
        warm.ended(client)
        run.release(hold, drop=True)
        wait_until("its machine", lambda: len(run.machines()) == 1)
    nth = 1
    while run.killed(f"stop{nth}", nth, "stop", run.run, what=_CHANGES):
        assert run.row()[0] in ("recovering", "stopped")
        nth += 1
    assert nth > 3
    assert run.machines() == []
    assert run.row() == ("stopped", 2)
    nth = 1
    while run.killed(f"gc{nth}", nth, "gc", "-y", what=_CHANGES):
        nth += 1
    assert nth > 1
    assert run.row() == ("stopped", 2)
    assert run.lane.run(run.environ, "gc", "-y") == 0
    assert run.lane.left() == []


def test_a_client_that_slept_ends_what_it_launched_too_late(run: Interrupted) -> None:
    sleeper, hold = run.held("sleeper", "CreateFleet", 1, "before")
    assert sleeper.pid is not None
    os.kill(sleeper.pid, signal.SIGSTOP)
    other = run.attach("other")
    wait_until("it goes on", lambda: run.row() == ("running", 3))
    (working,) = run.machines()
    run.release(hold)
    wait_until("the late machine", lambda: len(run.machines()) == 2)
    os.kill(sleeper.pid, signal.SIGCONT)
    wait_until("it is gone", lambda: run.machines() == [working])
    run.go()
    assert (warm.ended(sleeper), warm.ended(other)) == (0, 0), run.said("sleeper")
    assert "another client has taken over attempt 2" in run.said("sleeper")
    assert run.attempts_of("sleeper") == run.attempts_of("other") == [1, 3]
    assert run.row() == ("done", 3)
    assert run.lane.machines_left(20) == []


def test_a_client_that_slept_before_it_asked_asks_no_more(run: Interrupted) -> None:
    sleeper, hold = run.held("sleeper", "PutObject", 1, "after")
    assert sleeper.pid is not None
    os.kill(sleeper.pid, signal.SIGSTOP)
    other = run.attach("other")
    wait_until("it goes on", lambda: run.row() == ("running", 3))
    mark = run.lane.mark()
    run.release(hold)
    os.kill(sleeper.pid, signal.SIGCONT)
    wait_until("it finds out", lambda: "has taken over" in run.said("sleeper"))
    run.go()
    assert (warm.ended(sleeper), warm.ended(other)) == (0, 0), run.said("sleeper")
    assert not [call for call in run.lane.calls(mark) if call["action"] == "CreateFleet"]
    assert len(run.machines(off=True)) == 2


_AHEAD = """
import time
from datetime import timedelta
import dstack_cloud.units as units
now, wall = units.utc_now, time.time
units.utc_now = lambda: now() + timedelta(hours=1)
time.time = lambda: wall() + 3600
from dstack_cloud.cli.app import main
main()
"""


@pytest.mark.parametrize("run", ["{on: [interruption], within: 40m}"], indirect=True)
def test_a_client_an_hour_ahead_takes_over_from_a_dead_one_and_from_no_other(
    run: Interrupted,
) -> None:
    """By its clock the other one should have had a machine long ago, and the time in which the run
    may have another attempt is over."""
    (run.place / "ahead.py").write_text(_AHEAD)
    client, hold = run.held("client", "CreateFleet", 1, "before")
    lease = f"runs/{run.run}/attempts/2/lease.json"
    wait_until("the first renewal", lambda: run.lane.keys(lease))
    ahead = subprocess.Popen(
        [sys.executable, str(run.place / "ahead.py"), "attach", run.run],
        cwd=run.lane.folder,
        env=run.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_until("it asks the store's time", lambda: run.lane.keys(f"runs/{run.run}/clock"))
    renewals = {run.lane.read(lease)}
    while len(renewals) < 8:  # Twice the lease's time.
        renewals.add(run.lane.read(lease))
        time.sleep(0.1)
    assert not run.has(2, "end")
    client.kill()
    warm.ended(client)
    run.release(hold, drop=True)
    wait_until("it goes on", lambda: run.row() == ("running", 3))
    run.go()
    said, _ = ahead.communicate(timeout=300)
    assert ahead.returncode == 0, said
    assert run.lane.machines_left(20) == []
    assert len(run.machines(off=True)) == 2
