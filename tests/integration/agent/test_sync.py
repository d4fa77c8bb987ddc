"""Mounted artifacts, while the container runs: what reaches the store, when, and what never does.

Against a folder as the store; with a bucket in test_sync_s3.py."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dstack_cloud.machine.job import ArtifactSpec

if TYPE_CHECKING:
    from conftest import Follower, Host

MOUNTED = [ArtifactSpec("output", mount=True)]
KEY = "artifacts/train-7/output/"
# Waits for a file that the test makes, as a program that computes for a while does.
WAIT = "while ! test -e {0}; do sleep 0.05; done"


def wait_for(wanted: Callable[[], Any], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def go(host: Host, name: str) -> None:
    (host.root / "workflow" / name).touch()


def began(host: Host, *commands: str, **changes: Any) -> Follower:
    host.start("mkdir -p output", *commands, **{"artifacts": MOUNTED, **changes})
    follower = host.follow()
    follower.until(lambda: any(s["phase"] == "running" for s in follower.statuses))
    return follower


def stored(host: Host, name: str) -> bytes | None:
    path = host.store / KEY / name
    return path.read_bytes() if path.exists() else None


def test_files_in_new_and_moved_folders_arrive(host: Host) -> None:
    follower = began(
        host,
        "mkdir -p output/a/b; echo deep > output/a/b/deep",
        "mkdir -p elsewhere/c/d; echo moved > elsewhere/c/d/moved",
        WAIT.format("one"),
        "mv elsewhere/c output/c",
        WAIT.format("two"),
        "mv output/a output/z; echo later > output/z/b/later",
        WAIT.format("end"),
    )
    wait_for(lambda: stored(host, "a/b/deep") == b"deep\n")
    go(host, "one")
    wait_for(lambda: stored(host, "c/d/moved") == b"moved\n")
    go(host, "two")
    wait_for(lambda: stored(host, "z/b/later") == b"later\n")
    wait_for(lambda: stored(host, "z/b/deep") == b"deep\n")
    # What began with an empty store may follow what the program deletes.
    wait_for(lambda: stored(host, "a/b/deep") is None)
    go(host, "end")
    follower.rest()
    assert host.stored("artifacts/") == [KEY + n for n in ("c/d/moved", "z/b/deep", "z/b/later")]


def test_a_file_of_an_artifact_that_is_itself_a_file(host: Host) -> None:
    host.start(
        "echo 1 > model.bin; echo no > other",
        WAIT.format("end"),
        artifacts=[ArtifactSpec("model.bin", mount=True)],
    )
    wait_for(lambda: (host.store / "artifacts/train-7/model.bin").exists())
    (host.root / "workflow" / "new").write_bytes(b"2\n")
    (host.root / "workflow" / "new").replace(host.root / "workflow" / "model.bin")
    wait_for(lambda: host.read("artifacts/train-7/model.bin") == b"2\n")
    go(host, "end")
    host.end()
    assert host.stored("artifacts/") == ["artifacts/train-7/model.bin"]


def test_a_half_written_file_never_replaces_a_whole_one(host: Host) -> None:
    """Overwritten in place, and then nothing for a long time: what is there is torn, however still
    it stands."""
    follower = began(
        host,
        "echo whole > output/checkpoint",
        WAIT.format("one"),
        """python3 -c "
import os, time
f = open('output/checkpoint', 'w')
f.write('to'); f.flush()
open('output/mark', 'w').write('torn')
while not os.path.exists('two'): time.sleep(0.05)
f.write('rn no more'); f.close()
while not os.path.exists('end'): time.sleep(0.05)
" """,
    )
    wait_for(lambda: stored(host, "checkpoint") == b"whole\n")
    go(host, "one")
    wait_for(lambda: stored(host, "mark") == b"torn")
    # Far longer than a closed file waits: another such file has come and gone meanwhile.
    for number in range(3):
        (host.root / "workflow/output" / f"later-{number}").write_text("x")
        wait_for(lambda n=number: stored(host, f"later-{n}"))
        time.sleep(2.0)
    assert stored(host, "checkpoint") == b"whole\n"
    assert follower.process.poll() is None
    go(host, "two")
    wait_for(lambda: stored(host, "checkpoint") == b"torn no more")
    go(host, "end")
    follower.rest()


def test_a_log_that_stays_open_arrives_as_it_grows(host: Host) -> None:
    follower = began(
        host,
        """python3 -c "
import os, time
f = open('output/log', 'w')
for number in range(4):
    f.write('line %d\\n' % number); f.flush()
    while not os.path.exists('go-%d' % number): time.sleep(0.05)
" """,
    )
    for number in range(4):
        expected = "".join(f"line {n}\n" for n in range(number + 1)).encode()
        wait_for(lambda e=expected: stored(host, "log") == e)
        go(host, f"go-{number}")
    follower.rest()


def test_an_open_log_goes_on_where_a_closed_one_ended(host: Host) -> None:
    """The store's object is whole, and the file begins with it: nothing can be lost."""
    follower = began(
        host,
        "echo first > output/log",
        WAIT.format("one"),
        """python3 -c "
import os, time
f = open('output/log', 'a')
f.write('second\\n'); f.flush()
while not os.path.exists('end'): time.sleep(0.05)
" """,
    )
    wait_for(lambda: stored(host, "log") == b"first\n")
    go(host, "one")
    wait_for(lambda: stored(host, "log") == b"first\nsecond\n")
    go(host, "end")
    follower.rest()


def test_a_checkpoint_written_by_rename_is_whole_at_every_moment(host: Host) -> None:
    """A program that replaces its checkpoint as fast as it can, seen from the store."""
    follower = began(
        host,
        """python3 -c "
import os
n = 0
while not os.path.exists('end'):
    n += 1
    with open('output/.part', 'w') as f:
        for _ in range(2000): f.write('%09d\\n' % n)
    os.replace('output/.part', 'output/checkpoint')
" """,
    )
    seen: set[bytes] = set()
    deadline = time.monotonic() + 60
    while len(seen) < 3:
        assert time.monotonic() < deadline
        data = stored(host, "checkpoint")
        if data is not None:
            assert len(data) == 20000
            lines = set(data.splitlines())
            assert len(lines) == 1
            seen |= lines
        time.sleep(0.02)
    go(host, "end")
    follower.rest()


def test_links_are_followed_and_renewed(host: Host) -> None:
    follower = began(
        host,
        "echo one > output/1; ln -s 1 output/latest",
        WAIT.format("one"),
        "echo two > output/2; rm output/latest; ln -s 2 output/latest",
        WAIT.format("end"),
    )
    wait_for(lambda: stored(host, "latest") == b"one\n")
    go(host, "one")
    wait_for(lambda: stored(host, "latest") == b"two\n")
    go(host, "end")
    follower.rest()


def test_nothing_is_deleted_from_a_store_that_was_not_empty(host: Host) -> None:
    """Without a restore the agent cannot know what is there for a reason."""
    host.put(KEY + "old", b"of somebody's")
    follower = began(
        host,
        "echo x > output/x; echo y > output/y",
        WAIT.format("one"),
        "rm output/x; echo z > output/z",
        WAIT.format("end"),
    )
    wait_for(lambda: stored(host, "x") and stored(host, "y"))
    go(host, "one")
    wait_for(lambda: stored(host, "z"))
    go(host, "end")
    follower.rest()
    assert host.stored("artifacts/") == [KEY + name for name in ("old", "x", "y", "z")]


def test_an_old_checkpoint_goes_only_once_the_new_one_is_there(host: Host) -> None:
    """The new one is still being written: until it is there, the old one is the last good one."""
    follower = began(
        host,
        "echo 1 > output/1",
        WAIT.format("one"),
        """python3 -c "
import os, time
f = open('output/2', 'w')
os.unlink('output/1')
while not os.path.exists('two'):
    f.write('x'); f.flush(); time.sleep(0.2)
f.close()
while not os.path.exists('end'): time.sleep(0.05)
" """,
    )
    wait_for(lambda: stored(host, "1"))
    go(host, "one")
    wait_for(lambda: (host.root / "workflow/output/2").exists())
    time.sleep(5.0)
    assert stored(host, "1") == b"1\n"
    go(host, "two")
    wait_for(lambda: stored(host, "1") is None)
    assert stored(host, "2") == (host.root / "workflow/output/2").read_bytes()
    go(host, "end")
    follower.rest()


def test_the_status_tells_what_is_behind(host: Host) -> None:
    blocked = host.store / "artifacts/train-7"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where a folder must be")
    follower = began(host, "echo 12345 > output/x", WAIT.format("end"))
    follower.until(lambda: bool(follower.statuses[-1]["sync"]["error"]))
    sync = follower.statuses[-1]["sync"]
    assert sync["behind"] == 6
    assert "Not a directory" in sync["error"] or "File exists" in sync["error"]
    # It reaches the store, too, for those who have no way to the machine.
    wait_for(lambda: b"sync" in _status(host) and b'"behind": 6' in _status(host))
    blocked.unlink()
    follower.until(lambda: follower.statuses[-1]["sync"]["error"] is None)
    assert stored(host, "x") == b"12345\n"
    follower.until(lambda: follower.statuses[-1]["sync"]["behind"] == 0)
    assert follower.statuses[-1]["sync"]["last_ok"]
    go(host, "end")
    follower.rest()


def _status(host: Host) -> bytes:
    path = Path(host.store, "runs/train-7/attempts/1/status.json")
    return path.read_bytes() if path.exists() else b""


def test_a_killed_agent_goes_on_and_copies_nothing_twice(host: Host) -> None:
    follower = began(
        host, "echo x > output/x", WAIT.format("one"), "echo y > output/y", WAIT.format("end")
    )
    wait_for(lambda: stored(host, "x"))
    wait_for(lambda: follower.statuses and _known(host))
    before = os.stat(host.store / KEY / "x").st_ino
    assert host.kill()
    go(host, "one")
    wait_for(lambda: stored(host, "y"))
    go(host, "end")
    follower.rest()
    assert os.stat(host.store / KEY / "x").st_ino == before


def _known(host: Host) -> bool:
    from dstack_cloud.machine.agent.stored import Stored

    path = str(host.root / "workflow/output/x")
    return Stored(str(host.root / "sync/stored.db")).get(path) is not None
