"""What the agent decides about changes, time and rclone's words, without a machine."""

from __future__ import annotations

import json
import os
import struct
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dstack_cloud.machine.agent import inotify, rclone
from dstack_cloud.machine.agent.cloud import Notice
from dstack_cloud.machine.agent.ending import shortened
from dstack_cloud.machine.agent.notice import as_status, left, working_time
from dstack_cloud.machine.agent.pending import Pending
from dstack_cloud.machine.agent.stored import Copy, Stored


def event(watch: int, mask: int, name: bytes) -> bytes:
    padded = name + b"\0" * (16 - len(name) % 16) if name else b""
    return struct.pack("iIII", watch, mask, 0, len(padded)) + padded


def test_the_events_of_one_read() -> None:
    data = event(1, inotify.CREATE, b"a") + event(-1, inotify.OVERFLOW, b"")
    data += event(2, inotify.MOVED_TO, "ü x".encode())
    assert inotify.parse(data) == [
        (1, inotify.CREATE, b"a"),
        (-1, inotify.OVERFLOW, b""),
        (2, inotify.MOVED_TO, "ü x".encode()),
    ]


@given(grace=st.floats(0, 1000), seconds=st.floats(0, 300))
def test_a_grace_period_leaves_time_to_save(grace: float, seconds: float) -> None:
    short = shortened(grace, seconds)
    assert 0 <= short <= grace
    assert short <= seconds
    assert seconds - short >= min(10.0, seconds / 3) or short == seconds / 2


def test_the_usual_grace_period_is_not_cut() -> None:
    assert shortened(30, working_time(120)) == 30
    assert shortened(600, working_time(120)) < 75


@given(seconds=st.floats(0, 300))
def test_there_is_a_margin_before_the_machine_is_gone(seconds: float) -> None:
    assert 0 <= working_time(seconds) <= seconds
    assert seconds - working_time(seconds) >= min(10.0, seconds / 4) - 1e-9


def test_a_notice_survives_the_agent() -> None:
    told = as_status(Notice("terminate", 120.0))
    assert 119 < left(told) <= 120


def test_what_rclone_says() -> None:
    lines = [
        {"level": "info", "msg": "Copied (new)", "object": "a/1"},
        {"level": "info", "msg": "Copied (replaced existing)", "object": "a/2"},
        {"level": "error", "msg": "Attempt 1/1 failed with 1 errors and: AccessDenied"},
        {"level": "error", "msg": "Failed to copy: AccessDenied: no", "object": "a/3"},
    ]
    told = [json.dumps(line) for line in lines]
    stored, errors = rclone.read(iter([*told, "panic: oh"]))
    assert stored == {"a/1", "a/2"}
    assert errors[0] == "Failed to copy: AccessDenied: no"
    assert "panic: oh" in errors
    assert rclone.refused(errors[0])
    assert not rclone.refused("Failed to copy: SlowDown: please")


def test_what_changes_while_it_is_copied_waits_again() -> None:
    pending = Pending()
    pending.add(["a", "b"], 1.0)
    pending.add(["a"], 5.0)
    pending.done("a", since=3.0)
    pending.done("b", since=3.0)
    ((path, entry),) = pending.items()
    assert (path, entry.first, entry.busy) == ("a", 5.0, False)


def test_what_is_too_much_is_looked_for_later() -> None:
    pending = Pending()
    assert pending.take_look()
    assert not pending.take_look()
    pending.limit = 10
    pending.add([str(number) for number in range(11)], 1.0)
    assert len(pending) == 10
    # Not while there is no room for what would be found.
    assert not pending.take_look()
    for number in range(8):
        pending.done(str(number), 2.0)
    assert pending.take_look()


def test_each_failure_makes_the_pause_longer() -> None:
    pending = Pending()
    pending.add(["a"], 1.0)
    pauses = []
    for _ in range(9):
        pending.later("a")
        pauses.append(round(pending.items()[0][1].not_before - time.monotonic()))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    pending.hurry()
    assert pending.items()[0][1].not_before == 0.0


def test_what_is_stored_is_found_by_folder(tmp_path: Path) -> None:
    stored = Stored(str(tmp_path / "sync/stored.db"))
    odd = os.fsdecode(b"/w/out/\xff\n")
    copy = Copy(1, 2, True)
    stored.put((path, copy) for path in ("/w/out/a", "/w/out/b/c", "/w/out2/d", "/w/out", odd))
    assert sorted(stored.below("/w/out", chunk=2)) == sorted(
        ["/w/out", "/w/out/a", "/w/out/b/c", odd]
    )
    assert stored.get(odd) == copy
    stored.forget(odd)
    assert stored.get(odd) is None
    # The next agent finds it.
    assert Stored(str(tmp_path / "sync/stored.db")).get("/w/out2/d") == copy
