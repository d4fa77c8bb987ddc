"""Which files of some artifacts have changed: told by the kernel, found by looking only where the
kernel cannot tell."""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
import time
from collections.abc import Iterator, Sequence

from .artifacts import Place, inside
from .inotify import (
    CLOSE_WRITE,
    CREATE,
    DELETE,
    FOLDER,
    IGNORED,
    MODIFY,
    MOVED_FROM,
    MOVED_TO,
    ONLY_FOLDERS,
    OVERFLOW,
    Event,
    Inotify,
)
from .note import note
from .pending import Pending

_NAMES = CREATE | DELETE | MOVED_FROM | MOVED_TO | ONLY_FOLDERS
_ALL = _NAMES | MODIFY | CLOSE_WRITE
# A path and a number for each is kept in memory.
MAX_FOLDERS = 20_000
# Events that come together are read together: the kernel merges those that are alike.
_GATHER = 0.05
_LIMIT = "/proc/sys/fs/inotify/max_user_watches"


class Changes:
    """Fills ``pending``. ``warning`` says why changes are not told, None while they are."""

    def __init__(self, places: Sequence[Place], folder: str, pending: Pending) -> None:
        self._roots = [os.path.normpath(os.path.join(p.base, p.name)) for p in places]
        self._top = os.path.realpath(folder)
        self._folder = folder
        self._pending = pending
        self._names: dict[int, tuple[str, ...]] = {}
        self._links: set[str] = set()
        self.warning: str | None = None
        self._inotify: Inotify | None = None

    def run(self, over: threading.Event) -> None:
        """Until it is over, or changes cannot be told any more."""
        try:
            while not over.is_set():
                self._begin()
                self._listen(over)
        except OSError as error:
            self._give_up(error)
        finally:
            if self._inotify is not None:
                self._inotify.close()

    def _begin(self) -> None:
        """Watch all folders as they are now: events of new or renamed ones may be lost."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
        self._names.clear()
        self._inotify = Inotify()
        self._watch(self._folder)
        # What was there before its folder was watched.
        self._pending.look_again()

    def _listen(self, over: threading.Event) -> None:
        """Until it is over, or events were lost."""
        assert self._inotify is not None
        poll = select.poll()
        poll.register(self._inotify.descriptor, select.POLLIN)
        while not over.is_set():
            if poll.poll(1000):
                over.wait(_GATHER)
                if self._take():
                    return

    def _give_up(self, error: OSError) -> None:
        why = error.strerror or str(error)
        if error.errno == errno.ENOSPC:
            why = f"more folders than can be watched ({len(self._names)} are)"
        self.warning = f"changes are looked for, not told: {why}"
        note(self.warning)
        self._names.clear()
        self._pending.look_again()

    def _take(self) -> bool:
        """Tell what has happened; whether events were lost."""
        assert self._inotify is not None
        seen: set[str] = set()
        lost = False
        while not lost:
            events = self._inotify.read()
            if not events:
                break
            for event in events:
                lost = lost or bool(event.mask & OVERFLOW)
                for path in self._on(event):
                    seen.add(path)
        if seen:
            # A link has no events of its own when what it points to is written.
            seen.update(self._links)
            # Later than any of the changes, so that none of them is taken for stored.
            self._pending.add(seen, time.monotonic())
        if lost:
            note("changes came faster than they could be read: looking at everything")
        return lost

    def _on(self, event: Event) -> Iterator[str]:
        """The files that an event is about."""
        if event.mask & IGNORED:
            self._names.pop(event.watch, None)
            return
        for folder in self._names.get(event.watch, ()):
            path = os.path.join(folder, os.fsdecode(event.name))
            if not event.name or not self._wanted(path):
                continue
            if not event.mask & FOLDER:
                if event.mask & (CREATE | MOVED_TO) and os.path.islink(path):
                    yield from self._watch(path)
                elif self._is_inside(path):
                    yield path
            elif event.mask & (CREATE | MOVED_TO):
                yield from self._watch(path)
            else:
                self._leave(path)
                yield path

    def _wanted(self, path: str) -> bool:
        """Whether it is an artifact, in one, or on the way to one."""
        return any(inside(path, root) or inside(root, path) for root in self._roots)

    def _is_inside(self, path: str) -> bool:
        return any(inside(path, root) for root in self._roots)

    def _watch(self, path: str, above: tuple[str, ...] = ()) -> list[str]:
        """Watch a folder and those in it; returns the files that are there."""
        real = os.path.realpath(path)
        if real in above or not inside(real, self._top):
            return []
        try:
            if not stat.S_ISDIR(os.stat(path).st_mode):
                return self._file(path)
            self._add(path)
            found: list[str] = []
            with os.scandir(path) as entries:
                for entry in entries:
                    below = os.path.join(path, entry.name)
                    if not self._wanted(below):
                        continue
                    if entry.is_symlink() or entry.is_dir(follow_symlinks=False):
                        found += self._watch(below, (*above, real))
                    elif self._is_inside(below):
                        found.append(below)
                    if len(found) >= self._pending.limit:
                        self._pending.look_again()
                        found.clear()
            return found
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _file(self, path: str) -> list[str]:
        if os.path.islink(path):
            self._links.add(path)
        return [path] if self._is_inside(path) else []

    def _add(self, path: str) -> None:
        assert self._inotify is not None
        if len(self._names) >= MAX_FOLDERS:
            raise OSError(errno.ENOSPC, "too many folders")
        # A file that is an artifact itself lies in a folder that is none.
        near = self._is_inside(path) or any(os.path.dirname(root) == path for root in self._roots)
        watch = self._inotify.add(path, _ALL if near else _NAMES)
        names = self._names.get(watch, ())
        if path not in names:
            self._names[watch] = (*names, path)

    def _leave(self, path: str) -> None:
        """A folder was moved away or removed: its watches would go on under its old name."""
        assert self._inotify is not None
        for watch, names in list(self._names.items()):
            kept = tuple(name for name in names if not inside(name, path))
            if len(kept) == len(names):
                continue
            if kept:
                self._names[watch] = kept
            else:
                del self._names[watch]
                self._inotify.remove(watch)


def raise_limit() -> None:
    """On a machine of our own: as many watches as this agent may ever use. OSError ignored, the
    limit that is there then holds."""
    try:
        with open(_LIMIT) as file:
            present = int(file.read())
        if present < 4 * MAX_FOLDERS:
            with open(_LIMIT, "w") as file:
                file.write(str(4 * MAX_FOLDERS))
    except (OSError, ValueError) as error:
        note(f"inotify limit: {error}")
