"""What the kernel tells of changed files, and what happens where it can't: real inotify."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dstack_cloud.machine.agent import changes
from dstack_cloud.machine.agent.artifacts import Place
from dstack_cloud.machine.agent.changes import Changes
from dstack_cloud.machine.agent.inotify import Event, Inotify
from dstack_cloud.machine.agent.pending import Pending

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")
LIMIT = "/proc/sys/user/max_inotify_watches"
FOLDERS = 8


def wait_for(wanted: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Held(Inotify):
    """Nobody reads while the gate is shut: the kernel's queue fills."""

    gate = threading.Event()

    def read(self) -> list[Event]:
        self.gate.wait()
        return super().read()


class Told:
    """Changes in a folder ``output`` that are being told."""

    def __init__(self, folder: Path) -> None:
        self.output = folder / "output"
        self.output.mkdir()
        self.pending = Pending()
        self.over = threading.Event()
        place = Place(str(folder), "output")
        self.changes = Changes([place], str(folder), self.pending)
        self._thread = threading.Thread(target=self.changes.run, args=(self.over,))
        self.pending.take_look()
        self._thread.start()
        wait_for(self.pending.take_look)

    def waits(self, path: Path) -> bool:
        """Whether the file is known to have changed."""
        return str(path) in dict(self.pending.items())

    def close(self) -> None:
        self.over.set()
        Held.gate.set()
        self._thread.join()


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    monkeypatch.setattr(changes, "Inotify", Held)
    Held.gate.set()
    made = Told(tmp_path)
    yield made
    made.close()


def test_lost_events_lead_to_one_look_and_everything_is_told_again(told: Told) -> None:
    before, seen = told.output / "before", told.output / "seen"
    before.mkdir()
    (before / "seen").touch()
    wait_for(lambda: told.waits(before / "seen"))
    Held.gate.clear()
    # Alike events in a row are merged by the kernel: so these take turns.
    one, two = (os.open(told.output / name, os.O_CREAT | os.O_WRONLY) for name in ("1", "2"))
    for _ in range(int(QUEUE.read_text()) // 2 + 100):
        os.write(one, b"x")
        os.write(two, b"x")
    os.close(one)
    os.close(two)
    # Told of neither: a new folder, and the new name of one that was there.
    after, renamed = told.output / "after", told.output / "renamed"
    after.mkdir()
    before.rename(renamed)
    assert not told.pending.take_look()
    Held.gate.set()
    wait_for(told.pending.take_look)
    for path in (seen, after / "deep", renamed / "deep"):
        path.write_text("x")
        wait_for(lambda path=path: told.waits(path))
    assert not told.waits(before / "deep")
    assert not told.pending.take_look()
    assert told.changes.warning is None


IN_A_NAMESPACE = """
import sys, threading
from pathlib import Path
from dstack_cloud.machine.agent.artifacts import Place
from dstack_cloud.machine.agent.changes import Changes
from dstack_cloud.machine.agent.pending import Pending

folder, limit = sys.argv[1:3]
Path(limit).write_text("5")
pending = Pending()
changes = Changes([Place(folder, "output")], folder, pending)
thread = threading.Thread(target=changes.run, args=(threading.Event(),))
pending.take_look()
thread.start()
sys.stdin.readline()
if sys.argv[3] == "late":
    pending.take_look()
print("ready", flush=True)
thread.join()
print(changes.warning, "look" if pending.take_look() else "", sep="|")
"""


@pytest.mark.parametrize("late", [False, True], ids=["from-the-start", "by-a-new-folder"])
def test_more_folders_than_the_user_may_watch(tmp_path: Path, late: bool) -> None:
    """Five watches: the folder itself, `output`, and three more."""
    folders = [tmp_path / "output" / str(number) for number in range(FOLDERS)]
    for folder in folders[: 3 if late else FOLDERS]:
        folder.mkdir(parents=True)
    process = subprocess.Popen(
        [
            "unshare",
            "-Ur",
            sys.executable,
            "-c",
            IN_A_NAMESPACE,
            str(tmp_path),
            LIMIT,
            "late" if late else "",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    if late:
        wait_for(lambda: len(watched(process.pid)) == 5)
    process.stdin.write("go\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ready\n"
    for folder in folders:
        folder.mkdir(exist_ok=True)
    out, errors = process.communicate(timeout=30)
    assert out == (
        "changes are looked for, not told: more folders than can be watched (5 are)|look\n"
    ), errors


def watched(pid: int) -> list[str]:
    """The lines that the kernel has about a process's watches."""
    found = []
    for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            found += [line for line in entry.read_text().splitlines() if "inotify wd:" in line]
        except OSError:
            continue
    return found
