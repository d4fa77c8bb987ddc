"""The client is killed around every call that launches two machines: neither outlives its run.

The calls are those of an undisturbed run, from the first that makes something (what comes before is
the same for one machine, see test_killed_anywhere) to the first word of an agent. The client is
killed while the call is held, which is then dropped (before) or executed and not answered (after).
Afterwards there are two machines or none, none is left, and one ``gc`` clears the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from support.emulated import wait_until
from support.kill_cases import Case, carry_out_all, kill, moments, submit
from support.lane import USER, Call, Lane, lanes
from support.words import Words

TIMERS = {"no_job": "5s", "heartbeat": "10s"}
# Without a job: no_job. A node that waits for another that has none: both, and its own end.
_OVER_S = 45.0
WORKFLOW = """\
workflows:
  - name: {name}
    provider: torchrun
    file: unused.py
    nodes: 2
    artifacts: [output]
    resources: {{gpu: T4, interruptible: true}}
    before_run: [exit 0]
"""
# Asked over and over: how often depends on the time that things take.
_POLLED = ("DescribeInstances",)


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    with lanes(1, tmp_path_factory.mktemp("lanes")) as found:
        yield found[0]


def cases_of(calls: list[Call], words: Words) -> list[Case]:
    """The cases of every call of the launch."""
    counted: Counter[str] = Counter()
    found: list[Case] = []
    begun = False
    for call in calls:
        if call["principal"] != USER:
            if begun:
                break
            continue
        action = call["action"]
        counted[action] += 1
        begun = begun or action == "CreatePlacementGroup"
        lease = str(call["parameters"].get("Key", "")).endswith("/lease.json")
        if begun and not lease and (action not in _POLLED or counted[action] == 1):
            found += [Case(action, counted[action], when) for when in moments(action, words)]
    return found


@pytest.mark.timeout(1800)
def test_killed_around_every_call_of_a_launch(lane: Lane) -> None:
    environ = lane.home("used", no_job="2m", heartbeat="1m")
    submit(lane, "first", WORKFLOW)
    assert lane.run(environ, "run", "first", "-y") == 0, lane.said()
    assert lane.ask(environ, "gc", "-y") is not None
    since = submit(lane, "second", WORKFLOW)
    assert lane.run(environ, "run", "second", "-y") == 0, lane.said()
    cases = cases_of(lane.calls(since), lane.emulator.words)
    actions = {case.action for case in cases}
    assert {"CreatePlacementGroup", "CreateLaunchTemplate", "CreateFleet", "PutObject"} <= actions
    worker = Worker(lane, lane.with_timers(environ, "hasty", **TIMERS))
    problems = carry_out_all([worker], cases)
    assert not problems, f"{len(problems)} of {len(cases)} cases:\n" + "\n".join(problems)


@dataclass
class Worker:
    """Who carries out the cases, one after another."""

    lane: Lane
    environ: dict[str, str]

    def carry_out(self, number: int, case: Case) -> None:
        lane, environ, name = self.lane, self.environ, f"case{number}"
        kill(lane, environ, name, case, WORKFLOW)
        assert lane.machines_left(_OVER_S) == [], "a machine outlives its run"
        assert len(lane.ends(f"{name}-1")) in (0, 2), "neither all nor none"

        def cleared() -> bool:
            # Its client might still be at it, for all that others know, while a launch may last.
            lane.ask(environ, "gc", "-y")
            return lane.left() == []

        wait_until(f"nothing is left: {lane.left()}", cleared)
        rows = lane.ask(environ, "ps", "--all")["runs"]
        states = {row["state"] for row in rows if row["workflow"] == name}
        assert states <= {"done", "failed", "lost"}, states
