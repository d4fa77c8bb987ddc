"""What other runs have left in the store so far, shown to the container: again and again, for they
may go on.

A bucket's files come by rclone into copies of our own. From there they are written over what is
shown, in place: whoever reads a file has it open, and would not see another one under its name.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from . import disk, rclone
from .control import Control
from .errors import StoreError
from .note import note
from .paths import Paths
from .status import Status
from .store import FolderStore, Store

# Seconds between two looks, at least, and as a multiple of how long a look takes.
_EVERY, _TIMES = 5.0, 5.0
# Where a file has grown, so many of the last bytes before tell that its beginning is the same.
_TAIL = 4096
_PIECE = 1 << 20


def prepare(job: Mapping[str, Any], paths: Paths) -> None:
    """The folders that the container finds, empty at first."""
    for run in job["shown"]["runs"]:
        _folder(os.path.join(paths.shown, run), paths.shown)


class Shown:
    """``run`` is the whole of it."""

    def __init__(
        self, store: Store, job: Mapping[str, Any], paths: Paths, control: Control, status: Status
    ) -> None:
        self._store = store
        self._job = job
        self._paths = paths
        self._control = control
        self._status = status
        self._known: dict[str, tuple[int, int]] = {}

    def run(self) -> None:
        """Until the container has ended, or is to end."""
        while not self._over():
            begun = time.monotonic()
            error = self.look()
            if error is not None:
                note(f"shown: {error}")
            self._status.sync("shown", error)
            took = time.monotonic() - begun
            self._control.wait(max(_EVERY, _TIMES * took), self._control.cause)

    def look(self) -> str | None:
        """Bring what is new of every run; what has kept some of it away, in words."""
        errors = [self._look_at(run) for run in self._job["shown"]["runs"]]
        return next(filter(None, errors), None)

    def _look_at(self, run: str) -> str | None:
        error = None
        try:
            if disk.full(self._paths):
                return f"the disk has no room for what {run} leaves"
            if isinstance(self._store, FolderStore):
                source = self._store.path(f"artifacts/{run}")
            else:
                source = os.path.join(self._paths.sync, "shown", run)
                error = self._bring(run, source)
            for path in wanted(source, self._job["shown"]["files"]):
                self._show(path, os.path.join(run, os.path.relpath(path, source)))
        except (OSError, StoreError) as problem:
            error = str(problem)
        return error and f"what {run} leaves cannot be shown: {error}"

    def _bring(self, run: str, base: str) -> str | None:
        os.makedirs(base, exist_ok=True)
        argv = rclone.refresh_argv(self._job, base, run, self._job["shown"]["files"])
        log = os.path.join(self._paths.sync, "shown.log")
        return rclone.run(argv, self._job, log, self._over).error

    def _show(self, source: str, name: str) -> None:
        found = os.stat(source)
        stamp = (found.st_size, found.st_mtime_ns)
        if self._known.get(source) == stamp:
            return
        target = os.path.join(self._paths.shown, name)
        _folder(os.path.dirname(target), self._paths.shown)
        overwrite(source, target)
        self._known[source] = stamp

    def _over(self) -> bool:
        return self._control.container_ended or self._control.cause is not None


def wanted(folder: str, patterns: Sequence[str]) -> Iterator[str]:
    """The files below a folder whose names match a pattern; all of them where there is none."""
    for parent, _, names in os.walk(folder):
        for name in names:
            if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns):
                yield os.path.join(parent, name)


def overwrite(source: str, target: str) -> None:
    """Make ``target`` what ``source`` is, without another file in its place; of one that has only
    grown, what it had stays untouched."""
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT, 0o644)
    with open(source, "rb") as new, open(descriptor, "r+b") as old:
        os.fchmod(descriptor, 0o644)
        had = os.fstat(descriptor).st_size
        start = max(0, had - _TAIL)
        new.seek(start)
        old.seek(start)
        if had > os.fstat(new.fileno()).st_size or new.read(had - start) != old.read():
            new.seek(0)
            old.seek(0)
        for part in iter(lambda: new.read(_PIECE), b""):
            old.write(part)
        old.truncate()


def _folder(path: str, top: str) -> None:
    """The container's user may be any: all may read."""
    os.makedirs(path, exist_ok=True)
    while len(path) >= len(top):
        os.chmod(path, 0o755)
        path = os.path.dirname(path)
