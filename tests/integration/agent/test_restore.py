"""A later attempt gets back what earlier ones left before its container starts, or says why not."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from dstack_cloud.machine.job import ArtifactSpec

if TYPE_CHECKING:
    from conftest import Host

ARTIFACTS = [ArtifactSpec("output", mount=True), ArtifactSpec("report")]
OUTPUT = "artifacts/train-7/output/"
FIRST_END = "runs/train-7/attempts/1/end.json"
END = {"state": "recovering", "reason": "interrupted", "artifacts": []}


def put(host: Host, key: str, data: bytes, age: int = 1000) -> None:
    host.put(key, data)
    os.utime(host.store / key, (time.time() - age,) * 2)


def test_artifacts_are_there_before_the_container_starts(host: Host) -> None:
    put(host, OUTPUT + "deep/checkpoint", b"step 5", age=5000)
    put(host, "artifacts/train-7/report/text", b"so far")
    put(host, "artifacts/train-7/other", b"no artifact any more")
    put(host, "artifacts/train-70/output/x", b"another run's")
    host.put(FIRST_END, END)
    host.start(
        "cat output/deep/checkpoint report/text",
        "test ! -e other && echo ' and no more'",
        "echo step 6 > output/deep/checkpoint",
        artifacts=ARTIFACTS,
        restore=True,
        attempt=2,
    )
    follower = host.follow()
    follower.rest()
    assert b"step 5so far and no more" in follower.log
    assert any(s["phase"] == "restoring" for s in follower.statuses)
    assert host.read(OUTPUT + "deep/checkpoint") == b"step 6\n"
    # Programs look for the newest checkpoint by its time.
    age = time.time() - os.stat(host.root / "workflow/report/text").st_mtime
    assert 900 < age < 1400


def test_it_waits_for_the_end_of_the_attempt_before(host: Host) -> None:
    put(host, OUTPUT + "checkpoint", b"old")
    host.start("cat output/checkpoint", artifacts=ARTIFACTS, restore=True, attempt=2)
    follower = host.follow()
    follower.until(lambda: any(s["phase"] == "restoring" for s in follower.statuses))
    seen = len(follower.statuses)
    # Signs of life, some seconds apart: by now it would have begun.
    follower.until(lambda: len(follower.statuses) > seen + 1)
    assert not (host.root / "workflow/output").exists()
    put(host, OUTPUT + "checkpoint", b"the last word")
    host.put(FIRST_END, {"state": "lost", "reason": "machine-lost", "artifacts": []})
    follower.rest()
    assert b"the last word" in follower.log


def test_it_waits_for_every_attempt_before(host: Host) -> None:
    """The second attempt was called off while the first was still saving its work."""
    put(host, OUTPUT + "checkpoint", b"old")
    host.put(
        "runs/train-7/attempts/2/end.json", {"state": "lost", "reason": "stopped", "artifacts": []}
    )
    host.start("cat output/checkpoint", artifacts=ARTIFACTS, restore=True, attempt=3)
    follower = host.follow()
    follower.until(lambda: any(s["phase"] == "restoring" for s in follower.statuses))
    # It has time to go wrong: the next frame tells that, or only that the agent is alive.
    assert follower.frame() is not None
    assert follower.log == b""
    assert follower.statuses[-1]["phase"] == "restoring"
    put(host, OUTPUT + "checkpoint", b"the last word")
    host.put(FIRST_END, END)
    follower.rest()
    assert b"the last word" in follower.log


def test_artifacts_are_missed_across_an_attempt_that_did_nothing(host: Host) -> None:
    told = {"path": "output", "files": 2, "bytes": 20, "stored": True, "error": None}
    began = "2026-01-01T00:00:00Z"
    host.put(FIRST_END, {**END, "artifacts": [told], "container_started_at": began})
    host.put("runs/train-7/attempts/2/end.json", {**END, "container_started_at": None})
    host.start("echo never", artifacts=ARTIFACTS, restore=True, attempt=3)
    end = host.end()
    assert (end.state, end.reason) == ("failed", "restore")
    assert end.message is not None
    assert "output had 2 files when attempt 1 ended" in end.message


def test_deletions_follow_after_a_restore(host: Host) -> None:
    put(host, OUTPUT + "old", b"old")
    put(host, OUTPUT + "kept", b"kept")
    put(host, "artifacts/train-7/report/text", b"not mounted")
    host.put(FIRST_END, END)
    host.start(
        "rm output/old report/text",
        "while ! test -e end; do sleep 0.05; done",
        artifacts=ARTIFACTS,
        restore=True,
        attempt=2,
    )
    deadline = time.monotonic() + 40
    while (OUTPUT + "old") in host.stored("artifacts/"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (host.root / "workflow/end").touch()
    assert host.end().state == "done"
    assert host.stored("artifacts/") == [OUTPUT + "kept", "artifacts/train-7/report/text"]


def test_an_attempt_that_did_not_restore_deletes_nothing(host: Host) -> None:
    put(host, OUTPUT + "old", b"old")
    host.start(
        "mkdir output; echo x > output/x; rm output/x; echo y > output/y",
        artifacts=ARTIFACTS,
        attempt=2,
    )
    assert host.end().state == "done"
    assert host.stored("artifacts/") == [OUTPUT + "old", OUTPUT + "y"]


def test_artifacts_that_are_gone(host: Host) -> None:
    put(host, OUTPUT + "1", b"one of two")
    told = {"path": "output", "files": 2, "bytes": 20, "stored": True, "error": None}
    host.put(FIRST_END, {**END, "artifacts": [told]})
    host.start("echo never", artifacts=ARTIFACTS, restore=True, attempt=2)
    follower = host.follow()
    follower.rest()
    end = follower.end
    assert end is not None
    assert (end["state"], end["reason"]) == ("failed", "restore")
    assert end["message"] == (
        "artifacts to restore are gone: output had 2 files when attempt 1 ended, the store has 1"
    )
    assert b"never" not in follower.log
    assert host.stored("artifacts/") == [OUTPUT + "1"]


def test_artifacts_that_do_not_fit(host: Host) -> None:
    """A file with a hole is as large as a disk and takes no room."""
    path = host.store / OUTPUT / "huge"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(1 << 42)
    host.put(FIRST_END, END)
    host.start("echo never", artifacts=ARTIFACTS, restore=True, attempt=2)
    end = host.end()
    assert (end.state, end.reason) == ("failed", "disk")
    assert end.message is not None
    assert end.message.startswith("the artifacts to restore have 4398046511104 bytes, ")
    assert end.hint is not None
    assert "disk: 200GB" in end.hint


def test_a_killed_agent_restores_the_rest(host: Host) -> None:
    for number in range(20):
        put(host, OUTPUT + str(number), b"%d" % number)
    host.start("cat output/*", artifacts=ARTIFACTS, restore=True, attempt=2)
    follower = host.follow()
    follower.until(lambda: any(s["phase"] == "restoring" for s in follower.statuses))
    assert host.kill()
    host.put(FIRST_END, END)
    follower.rest()
    assert follower.end is not None
    assert follower.end["state"] == "done"
    restored = json.loads((host.root / "restored.json").read_text())
    assert restored["files"] == 20
