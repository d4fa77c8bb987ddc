"""The log: every line once, whatever is killed; any offset; the store's copy is the same."""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Host

LINES = 100_000
RECORD = re.compile(rb"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) [FP] ")


@pytest.mark.parametrize("seed", [1, 2])
def test_kills_lose_and_repeat_nothing(host: Host, seed: int) -> None:
    chance = random.Random(seed)
    # In bursts, so that the kills hit an agent that is behind as well as one that waits.
    host.start(
        "i=0",
        f"while [ $i -lt {LINES} ]; do seq $i $((i + 4999)); i=$((i + 5000)); sleep 0.25; done",
    )
    follower = host.follow()
    follower.until(lambda: len(follower.log) > 0)
    kills = 0
    over = threading.Event()

    def kill() -> None:
        nonlocal kills
        while not over.wait(chance.uniform(0.05, 0.9)):
            kills += host.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        follower.rest()
    finally:
        over.set()
        killer.join()
    assert kills >= 5
    assert all(RECORD.match(line) for line in follower.log.splitlines())
    assert [int(line.split()[3]) for line in follower.log.splitlines()] == list(range(LINES))
    assert (host.root / "log").read_bytes() == follower.log
    assert host.shipped() == follower.log
    assert follower.end is not None
    assert follower.end["exit_code"] == 0
    assert follower.end["log_bytes"] == len(follower.log)


def test_any_offset_continues_there(host: Host) -> None:
    host.start("seq 1 20000", "sleep 0.5", "seq 20001 40000")
    first = host.follow()
    first.until(lambda: len(first.log) > 1000)
    offset = random.Random(3).randrange(len(first.log))
    first.close()
    second = host.follow(offset)
    second.rest()
    assert first.log[:offset] + second.log == (host.root / "log").read_bytes()
    assert [int(line.split()[3]) for line in (first.log[:offset] + second.log).splitlines()] == (
        list(range(1, 40001))
    )


def test_a_follower_of_an_ended_attempt_gets_everything(host: Host) -> None:
    host.start("seq 1 1000")
    host.end()
    late = host.follow()
    late.rest()
    assert len(late.log.splitlines()) == 1000
    beyond = host.follow(len(late.log))
    beyond.rest()
    assert beyond.log == b""


def test_lines_that_are_long_or_have_no_end(host: Host) -> None:
    host.start(
        "python3 -c \"print('x' * 40000)\"",
        "echo",
        "python3 -c \"import sys; sys.stderr.write('unfinished')\"",
    )
    follower = host.follow()
    follower.rest()
    records = follower.log.split(b"\n")
    assert records.pop() == b""
    out = [record.split(b" ", 3) for record in records if b" stdout " in record[:45]]
    assert b"".join(part[3] for part in out[:-1]) == b"x" * 40000
    assert out[-1][2:] == [b"F", b""]
    assert [part[2] for part in out] == [b"P", b"P", b"F", b"F"]
    (err,) = [record for record in records if b" stderr " in record[:45]]
    # Engines differ on whether an output's end ends its line.
    assert re.search(rb" stderr [FP] unfinished$", err)


def test_a_line_reaches_the_follower_at_once(host: Host) -> None:
    host.start(
        'python3 -c "import time\nfor _ in range(30): '
        'print(time.time(), flush=True); time.sleep(0.05)"'
    )
    follower = host.follow()
    delays = []
    while (frame := follower.frame()) is not None:
        if frame[0] == "log":
            arrived = time.time()
            delays += [arrived - float(line.split()[3]) for line in frame[1].splitlines()]
    assert len(delays) == 30
    # The contract allows 150 ms to the screen; the machine's part of it must be a small one.
    assert sorted(delays)[15] < 0.05


def test_the_log_is_shipped_while_the_container_runs(host: Host) -> None:
    host.start("echo early", "while ! test -e go; do sleep 0.05; done", "echo late")
    deadline = time.monotonic() + 20
    while b"early" not in host.shipped():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "runs/train-7/attempts/1/status.json" in host.stored()
    assert host.stored("index/") == ["index/running/train-7"]
    (host.root / "workflow" / "go").touch()
    host.end()
    segments = host.stored("runs/train-7/attempts/1/log/")
    assert [int(key[-20:]) for key in segments] == [0, len(host.read(segments[0]))]
    assert host.shipped().endswith(b"late\n")


def test_a_silent_container_is_followed_across_a_restart(host: Host) -> None:
    host.start("while ! test -e go; do sleep 0.05; done", "echo woke")
    follower = host.follow()
    follower.until(lambda: any(s["phase"] == "running" for s in follower.statuses))
    before = host.pid()
    assert host.kill()
    deadline = time.monotonic() + 10
    while host.pid() in (None, before):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (host.root / "workflow" / "go").touch()
    follower.rest()
    assert follower.log.endswith(b" stdout F woke\n")
    assert len(follower.log.splitlines()) == 1


@pytest.mark.timeout(60)
def test_there_is_a_beat_whatever_the_agent_does(host: Host) -> None:
    """A client tells a silent job from a dead connection by it."""
    host.start("while ! test -e go; do sleep 0.05; done")
    follower = host.follow()
    follower.until(lambda: any(s["phase"] == "running" for s in follower.statuses))
    pid = host.pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        # What was under way when it stopped may come first.
        kinds = [frame[0] for frame in (follower.frame() for _ in range(4)) if frame]
        assert kinds[-2:] == ["beat", "beat"]
    finally:
        os.kill(pid, signal.SIGCONT)
    (host.root / "workflow" / "go").touch()
    follower.rest()
