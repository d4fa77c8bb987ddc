"""The client of ``run -d`` is killed around its calls and its hand-over to the machine. Others,
in another folder and a home of their own, are told the truth and go on with the run: once.

The cases are those of an undisturbed run's call log: every write, as between two writes nothing
changes, and the time after the last one. Reads are killed in `test_killed_anywhere`, whose calls
are the same. After the kill, and with no timer's help,
- ``ps`` lists the run as soon as it is in the index, and as live; ``gc -y`` takes nothing of it;
- a run without an attempt has cost nothing: ``attach`` says so, and ``stop`` ends it;
- of any other ``attach`` sees the end, from two places at once: where the job had reached its
  machine that one's, else the next attempt's, launched by one of the two, after the lease's time;
- no machine is left, nothing was launched twice, and ``gc`` clears whatever else there is.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support import warm
from support.emulated import wait_until
from support.kill_cases import (
    all_answered,
    carry_out_all,
    executed,
    reads,
    side_by_side,
    submit,
    written,
)
from support.lane import USER, Call, Lane, lanes
from support.words import Words

LANES = 2
# A machine's own timer has no part in this; the lease is a sixth of the heartbeat.
TIMERS = {"no_job": "2m", "heartbeat": "18s"}
AGENT = "role/*"
# After the last call before the hand-over, so that the kill comes while it is under way.
_DELAYS_S = (0.1, 0.4)


@dataclass(frozen=True)
class Case:
    """Kill once the ``nth`` call of an action is carried out, or so many seconds after that."""

    action: str
    nth: int
    principal: str = USER
    delay: float | None = None

    def __str__(self) -> str:
        later = "" if self.delay is None else f" and {self.delay} s"
        return f"after {self.action} {self.nth} of {self.principal}{later}"


def cases_of(calls: list[Call], words: Words) -> list[Case]:
    """After each write, and in the hand-over."""
    counts = Counter(call["action"] for call in calls)
    last = Case(calls[-1]["action"], counts[calls[-1]["action"]])
    found = [
        Case(action, nth)
        for action, count in counts.items()
        if not reads(action, words)
        for nth in range(1, count + 1)
    ]
    in_hand_over = [replace(last, delay=delay) for delay in _DELAYS_S]
    return [*found, *in_hand_over, Case("*", 1, AGENT)]


class Worker:
    """An account, a user who launches, and others who have to do with the run."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.folder = lane.folder.parent / "elsewhere"
        self.folder.mkdir()
        self.launcher = lane.home("launcher", **TIMERS)
        submit(lane, "first")
        assert lane.run(self.launcher, "run", "first", "-y", "-d") == 0, lane.said()
        self.others = [self._another(name) for name in ("second", "third")]
        assert self.said_by(self.others[0], "attach", "first-1") == (0, ["attempt 1"])
        since = submit(lane, "second")
        assert lane.run(self.launcher, "run", "second", "-y", "-d") == 0, lane.said()
        # A launch that takes long renews its lease now and then: not counted.
        self.calls = [
            call
            for call in lane.calls(since)
            if call["principal"] == USER
            and not str(call["parameters"].get("Key", "")).endswith("/lease.json")
        ]
        assert self.said_by(self.others[1], "attach", "second-1") == (0, ["attempt 1"])
        self.leftovers()

    def _another(self, name: str) -> dict[str, str]:
        """A user of their own, who knows the prices."""
        environ = self.lane.home(name, **TIMERS)
        cache = Path(self.launcher["HOME"]) / ".cache"
        shutil.copytree(cache, Path(environ["HOME"]) / ".cache")
        return environ

    def output(self, environ: dict[str, str]) -> Path:
        return Path(environ["HOME"]) / "output"

    def begin(self, environ: dict[str, str], *words: str) -> warm.ForkServerProcess:
        return warm.begin(*words, folder=self.folder, environ=environ, output=self.output(environ))

    def said_by(self, environ: dict[str, str], *words: str) -> tuple[int, list[str]]:
        code = warm.ended(self.begin(environ, *words))
        return code, self.output(environ).with_suffix(".out").read_text().splitlines()

    def words_of(self, environ: dict[str, str]) -> str:
        return self.output(environ).with_suffix(".err").read_text()

    def states(self, name: str) -> list[str]:
        """As another one is told them."""
        other = self.others[0]
        rows = warm.ask(
            "ps", "--all", folder=self.folder, environ=other, output=self.output(other)
        )["runs"]
        return [row["state"] for row in rows if row["workflow"] == name]

    def _index(self, run: str) -> list[str]:
        return [key for key in self.lane.keys("index/") if key.endswith(f"/{run}")]

    def leftovers(self) -> list[dict[str, str]]:
        other = self.others[0]
        asked = warm.ask("gc", "-y", folder=self.folder, environ=other, output=self.output(other))
        found: list[dict[str, str]] = asked["leftovers"]
        return found

    def carry_out(self, number: int, case: Case) -> None:
        lane, name, run = self.lane, f"case{number}", f"case{number}-1"
        since = submit(lane, name)
        self._kill(name, case, since)
        done = executed(lane.calls(since))
        there = written(done, lane.emulator.words)
        indexed = f"index/submitted/{run}" in there
        claimed = f"runs/{run}/attempts/1/intent.json" in there

        states = self.states(name)
        assert len(states) == indexed, states
        assert not {"lost", "failed", "stopped"} & set(states), states
        # One that has ended by now may have its machine on the way down.
        taken = run in {one["run"] for one in self.leftovers()}
        ended = bool(lane.keys(f"runs/{run}/attempts/1/end.json"))
        assert ended or not taken, "something of a live run"
        if not claimed:
            code, _ = self.said_by(self.others[0], "attach", run)
            assert code == 64
            if f"runs/{run}/run.json" in there:
                assert "has no machine yet" in self.words_of(self.others[0])
                assert self.said_by(self.others[1], "stop", run)[0] == 0
                assert self._index(run) == [f"index/stopped/{run}"]
            else:
                assert self._index(run) == []
            assert lane.ends(run) == []
        else:
            self.go_on(run)
            assert self._index(run) == [f"index/done/{run}"]
            assert lane.keys(f"artifacts/{run}/") == [f"artifacts/{run}/output/copy.txt"]
        assert lane.machines_left(20) == []
        self._launched_once(run, executed(lane.calls(since)))
        assert all(one["removed"] for one in self.leftovers())
        assert lane.left() == []

    def _kill(self, name: str, case: Case, since: int) -> None:
        emulator = self.lane.emulator
        order = {"action": case.action, "nth": case.nth, "when": "after"}
        hold = emulator.post("/_emulator/holds", {**order, "principal": case.principal})
        client = self.lane.begin(self.launcher, "run", name, "-y", "-d")
        held = emulator.get("/_emulator/holds?wait=60")
        drop = case.delay is None and case.principal == USER
        if case.delay is not None:
            emulator.post(f"/_emulator/holds/{hold['id']}/release", {"drop": drop})
            time.sleep(case.delay)
        client.kill()
        warm.ended(client)
        assert [one["state"] for one in held] == ["waiting"], f"never reached: {self.lane.said()}"
        if case.delay is None:
            emulator.post(f"/_emulator/holds/{hold['id']}/release", {"drop": drop})
        all_answered(self.lane, since)

    def go_on(self, run: str) -> None:
        """Two that follow it see the same end, and the same output."""
        rivals = [self.begin(other, "attach", run) for other in self.others]
        codes = [warm.ended(rival) for rival in rivals]
        said = [self.output(other).with_suffix(".out").read_text() for other in self.others]
        words = [self.words_of(other) for other in self.others]
        assert codes == [0, 0], words
        attempts = len(self.lane.keys(f"runs/{run}/attempts/2/intent.json")) + 1
        assert said == [f"attempt {attempts}\n"] * 2, words
        assert not any("unknown" in each for each in words), "what was launched has its price"
        taken = sum(each.count("is taken over") for each in words)
        assert taken == attempts - 1, words

    def _launched_once(self, run: str, done: list[Call]) -> None:
        fleets = [call for call in done if call["action"] == "CreateFleet"]
        templates = [str(call["parameters"]).partition(f"{run}-")[2][:1] for call in fleets]
        assert len(set(templates)) == len(templates), fleets
        assert len(self.lane.ends(run)) == len(fleets)


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Worker]]:
    with lanes(LANES, tmp_path_factory.mktemp("lanes")) as found:
        yield side_by_side(Worker, found)


@pytest.mark.timeout(1800)
def test_killed_while_it_launches_and_hands_over(workers: list[Worker]) -> None:
    calls = workers[0].calls
    assert calls[-1]["action"] != "CreateFleet", "it looks at its machine before it connects"
    cases = cases_of(calls, workers[0].lane.emulator.words)
    assert len(cases) > 10
    assert {"CreateFleet", "DeleteObjects", "PutObject"} <= {case.action for case in cases}
    problems = carry_out_all(workers, cases)
    assert not problems, f"{len(problems)} of {len(cases)} cases:\n" + "\n".join(problems)


def test_killed_while_it_waits_for_capacity(workers: list[Worker]) -> None:
    worker, run = workers[0], "waits-1"
    lane = worker.lane
    since = submit(lane, "waits")
    none_left = {"action": "CreateFleet", "error": "InsufficientInstanceCapacity", "times": None}
    lane.emulator.post("/_emulator/faults", none_left)
    client = lane.begin(worker.launcher, "run", "waits", "-y", "--wait", "10m")
    lease = f"runs/{run}/attempts/1/lease.json"

    def waits() -> bool:
        """Refused, and at it still."""
        asked = [call for call in lane.calls(since) if call["action"] == "CreateFleet"]
        later = lane.calls(asked[-1]["sequence"]) if asked else []
        return any(call["parameters"].get("Key") == lease for call in later)

    wait_until("it waits", waits)
    client.kill()
    warm.ended(client)
    all_answered(lane, since)
    lane.emulator.delete("/_emulator/faults")
    assert worker.states("waits") == ["launching"]
    assert run not in {one["run"] for one in worker.leftovers()}
    worker.go_on(run)
    assert worker.states("waits") == ["done"]
    assert lane.machines_left(20) == []
    assert len(lane.ends(run)) == 1
    worker.leftovers()
    assert lane.left() == []
