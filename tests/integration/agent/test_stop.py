"""What ends a container before its time, and what becomes of its work."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from dstack_cloud.machine.job import ArtifactSpec, Retry

if TYPE_CHECKING:
    from conftest import Follower, Host

# Ignores nothing and needs a moment to save: what a training program does on SIGTERM.
CHECKPOINTS = """python3 -c "
import signal, sys, time
def save(*_):
    time.sleep(0.5)
    open('output/checkpoint', 'w').write('saved')
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print('training', flush=True)
while True: time.sleep(60)
" """
OUTPUT = [ArtifactSpec("output")]


def _running(host: Host, word: bytes) -> Follower:
    follower = host.follow()
    follower.until(lambda: word in follower.log)
    return follower


def _stop(host: Host, abort: bool = False) -> None:
    host.put("runs/train-7/stop.json", {"abort": abort, "by": "test", "at": "now"})


def test_a_stop_lets_the_program_save_and_runs_nothing_after_it(host: Host) -> None:
    host.start("mkdir output", CHECKPOINTS, "echo after > output/after", artifacts=OUTPUT)
    follower = _running(host, b"training")
    _stop(host)
    follower.rest()
    end = follower.end
    assert end is not None
    assert (end["state"], end["reason"], end["exit_code"]) == ("stopped", "stopped", 143)
    assert host.stored("artifacts/") == ["artifacts/train-7/output/checkpoint"]
    assert host.stored("index/") == ["index/stopped/train-7"]


def test_a_program_that_ignores_the_stop_is_killed_after_its_grace(host: Host) -> None:
    host.start(
        "mkdir output; echo kept > output/kept",
        "trap '' TERM; echo deaf; while true; do sleep 0.2; done",
        artifacts=OUTPUT,
        grace=1,
    )
    follower = _running(host, b"deaf")
    _stop(host)
    follower.rest()
    assert follower.end is not None
    assert (follower.end["state"], follower.end["exit_code"]) == ("stopped", 137)
    assert follower.end["reason"] == "stopped"
    assert host.read("artifacts/train-7/output/kept") == b"kept\n"


def test_an_agent_killed_in_the_grace_period_goes_on_with_it(host: Host) -> None:
    host.start("mkdir output", CHECKPOINTS.replace("0.5", "3"), artifacts=OUTPUT, grace=20)
    follower = _running(host, b"training")
    _stop(host)
    deadline = time.monotonic() + 10
    while '"told": true' not in _text(host, "cause.json"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert host.kill()
    follower.rest()
    assert follower.end is not None
    assert (follower.end["state"], follower.end["exit_code"]) == ("stopped", 143)
    assert host.read("artifacts/train-7/output/checkpoint") == b"saved"


def _text(host: Host, name: str) -> str:
    path = host.root / name
    return path.read_text() if path.exists() else ""


def test_an_abort_kills_at_once_and_saves_only_the_log(host: Host) -> None:
    host.start("mkdir output; echo x > output/x", CHECKPOINTS, artifacts=OUTPUT, grace=60)
    follower = _running(host, b"training")
    _stop(host, abort=True)
    follower.rest()
    end = follower.end
    assert end is not None
    assert (end["state"], end["reason"], end["exit_code"]) == ("stopped", "aborted", 137)
    assert end["artifacts"] == []
    assert end["message"] == "aborted: artifacts were not saved"
    assert host.stored("artifacts/") == []
    assert host.shipped() == follower.log


def test_an_abort_cuts_a_grace_period_short(host: Host) -> None:
    host.start("trap '' TERM; echo deaf; while true; do sleep 0.2; done", grace=600)
    follower = _running(host, b"deaf")
    _stop(host)
    deadline = time.monotonic() + 10
    while '"told": true' not in _text(host, "cause.json"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    _stop(host, abort=True)
    follower.rest()
    assert follower.end is not None
    assert follower.end["reason"] == "aborted"


def test_max_duration(host: Host) -> None:
    host.start("mkdir output", CHECKPOINTS, artifacts=OUTPUT, max_duration=2)
    follower = _running(host, b"training")
    follower.rest()
    end = follower.end
    assert end is not None
    assert (end["state"], end["reason"], end["exit_code"]) == ("failed", "max_duration", 143)
    assert host.read("artifacts/train-7/output/checkpoint") == b"saved"
    assert host.stored("index/") == ["index/failed/train-7"]
    # The machine's own timer is armed behind the agent's.
    assert float((host.root / "volatile" / "hard_limit").read_text()) > 0


def test_a_run_taken_over_is_let_go(host: Host) -> None:
    host.put("index/recovering/train-7", b"")
    host.start("mkdir output; echo stale > output/x", CHECKPOINTS, artifacts=OUTPUT)
    follower = _running(host, b"training")
    before = host.stored("index/")
    host.put("artifacts/train-7/output/x", b"newer")
    lost = {"state": "lost", "reason": "machine-lost"}
    host.put("runs/train-7/attempts/1/end.json", lost)
    follower.rest()
    end = follower.end
    assert end is not None
    assert (end["state"], end["reason"]) == ("stopped", "fenced")
    assert host.read("artifacts/train-7/output/x") == b"newer"
    assert host.stored("index/") == before
    assert json.loads(host.read("runs/train-7/attempts/1/end.json")) == lost


def test_an_end_that_somebody_else_recorded_stands(host: Host) -> None:
    lost = {"state": "lost", "reason": "lost"}
    host.put("runs/train-7/attempts/1/end.json", lost)
    host.put("index/lost/train-7", b"")
    host.start("echo late")
    assert host.end().reason == "fenced"
    assert json.loads(host.read("runs/train-7/attempts/1/end.json")) == lost
    assert "index/done/train-7" not in host.stored()


def test_an_attempt_claimed_after_a_notice_does_not_stop_this_one(host: Host) -> None:
    host.start("mkdir output; echo kept > output/x", artifacts=OUTPUT)
    host.put("runs/train-7/attempts/2/intent.json", {})
    assert host.end().state == "done"
    assert host.read("artifacts/train-7/output/x") == b"kept\n"


@pytest.mark.parametrize(
    ("code", "state", "index"), [(7, "failed", "recovering"), (8, "failed", "failed")]
)
def test_an_end_that_another_attempt_follows_leaves_the_run_live(
    host: Host, code: int, state: str, index: str
) -> None:
    host.start(f"exit {code}", retry=Retry(["interruption", "7"], within=60.0))
    end = host.end()
    assert (end.state, end.exit_code, end.retry) == (state, code, code == 7)
    assert host.stored("index/") == [f"index/{index}/train-7"]


def test_no_attempt_follows_when_the_time_for_it_is_over(host: Host) -> None:
    """The time is counted on the machine, from the job's start."""
    host.start("sleep 0.3; exit 7", retry=Retry(["7"], within=0.1))
    assert host.end().retry is False
    assert host.stored("index/") == ["index/failed/train-7"]


def test_mounted_artifacts_arrive_while_the_container_runs(host: Host) -> None:
    host.start(
        "mkdir output; echo one > output/one",
        "while ! test -e go; do sleep 0.05; done",
        "echo two > output/two",
        artifacts=[ArtifactSpec("output", mount=True)],
    )
    follower = host.follow()
    follower.until(lambda: any(s["sync"]["last_ok"] for s in follower.statuses))
    deadline = time.monotonic() + 30
    while host.stored("artifacts/") != ["artifacts/train-7/output/one"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert host.stored("index/") == ["index/running/train-7"]
    (host.root / "workflow" / "go").touch()
    follower.rest()
    assert host.read("artifacts/train-7/output/two") == b"two\n"
