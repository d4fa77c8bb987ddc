"""The client is killed around every single call that ``run`` makes: no machine outlives its run.

The cases are those of an undisturbed run's call log: before each call of the client's user, and
after each that changes something: machines, store, prices and quotas alike. Each case kills the
client with SIGKILL while that call is held, then drops it (before) or has it executed and not
answered (after). Afterwards
- no machine is left once the dead-man timer's time (5 s here) has passed,
- ``ps`` tells the truth: no run where the name was not in the index yet, ``done`` with its
  artifacts where the job had reached its machine, else ``lost``,
- one ``gc`` clears whatever else is left, as a look into the account by its root user confirms.

What counts as a call: see `support.kill_cases.counted`; only the polls at the end vary. Calls that
run side by side have no order among themselves: the nth of an action is then any of them. Four
accounts work side by side; each begins with an undisturbed run of its own, and all must agree on
the calls, so that a call that comes and goes fails the test rather than being left out.
The machines are stubs: what a client does with a real one is the same (see the last test).
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.emulated import CLOUDS, Emulator, Project
from support.kill_cases import (
    CALM,
    HASTY,
    Case,
    carry_out,
    carry_out_all,
    cases_of,
    copied_home,
    counted,
    reads,
    side_by_side,
    undisturbed,
)
from support.lane import Lane, lanes

LANES = 4
# The calls that let a client's address in.
LET_IN = {
    "aws": ("DescribeSubnets", "DescribeSecurityGroups", "AuthorizeSecurityGroupIngress"),
    "gcp": ("compute.projects.get", "compute.firewalls.insert"),
}


class Worker:
    """One account and its user: a home that has been used, and one that has not."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.environ = lane.home("used", **CALM)
        self.cold = undisturbed(lane, self.environ, "first")
        assert lane.run(self.environ, "gc", "-y") == 0
        self.hasty = lane.with_timers(self.environ, "hasty", **HASTY)
        new = lane.home("new", **HASTY)
        # The catalog that ships with the product, unpacked: nothing has been asked of AWS yet.
        assert lane.run(new, "offers", "--gpu", "T4") == 0
        self.new = new

    def carry_out(self, number: int, case: Case) -> None:
        name = f"case{number}"
        if case.cold:
            environ = copied_home(self.lane, self.new, name)
        else:
            # The machine that works on must not be taken for one that no job reached.
            polls = case.action == self.lane.emulator.words.poll and case.nth > 1
            environ = self.environ if polls else self.hasty
        carry_out(self.lane, environ, name, case)


@pytest.fixture(scope="module", params=CLOUDS)
def workers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Worker]]:
    with lanes(LANES, tmp_path_factory.mktemp("lanes"), request.param) as found:
        yield side_by_side(Worker, found)


@pytest.mark.timeout(1800)
def test_killed_around_every_call(workers: list[Worker]) -> None:
    first = workers[0]
    warm = undisturbed(first.lane, first.environ, "second")
    assert first.lane.run(first.environ, "gc", "-y") == 0
    cold = first.cold
    assert all(worker.cold == cold for worker in workers), [worker.cold for worker in workers]
    assert not warm - cold, "a later run makes calls that the first does not"
    words = first.lane.emulator.words
    # What a run cannot do without; the log that the cases come from must not be an empty one.
    assert warm[words.put] >= 6, warm
    assert warm[words.launch] == 1, warm

    cases = cases_of(cold, warm, words)
    reading = sum(count for action, count in cold.items() if reads(action, words))
    assert len(cases) == 2 * cold.total() - reading
    problems = carry_out_all(workers, cases)
    assert not problems, f"{len(problems)} of {len(cases)} cases:\n" + "\n".join(problems)


def test_a_refresh_that_was_cut_off_does_not_disturb_the_next_run(workers: list[Worker]) -> None:
    worker = workers[0]
    environ = copied_home(worker.lane, worker.new, "cut-off")
    action, nth = worker.lane.emulator.words.refresh
    carry_out(worker.lane, environ, "cut", Case(action, nth, "before", cold=True))
    undisturbed(worker.lane, worker.lane.with_timers(environ, "calm", **CALM), "after")


def test_a_real_machine_is_asked_for_with_the_same_calls(
    workers: list[Worker], clouds: Callable[[str], Emulator], tmp_path: Path
) -> None:
    stub = workers[0]
    words = stub.lane.emulator.words
    emulator = clouds(words.cloud)
    environ = {**emulator.environ, "HOME": str(tmp_path / "home-of-first")}
    project = Project(tmp_path / "project", environ)
    subprocess.run(["git", "init", "-q", str(project.folder)], check=True)
    project.workflows("""
        workflows:
          - name: first
            provider: docker
            image: ubuntu
            artifacts: [output]
            resources: {gpu: T4, interruptible: true}
            commands: [mkdir output, cat data.txt >output/copy.txt]
    """)
    (project.folder / "data.txt").write_text("first")
    since = emulator.get("/_emulator/calls")[-1]["sequence"]
    done = project.cli("run", "first", "-y")
    assert done.returncode == 0, done.stderr
    real = counted(emulator.get(f"/_emulator/calls?since={since}"), words)
    # A machine that does not answer yet may be asked for, and let in, once more: it depends on the
    # time that its boot takes.
    again = {words.poll, *LET_IN[words.cloud]}
    assert set(real) == set(stub.cold)
    assert {action: n for action, n in real.items() if action not in again} == {
        action: n for action, n in stub.cold.items() if action not in again
    }
