"""``follow`` and ``status``: what a client reads over SSH.

Frames: ``log <n>``, ``status <n>``, ``end <n>``, each a line, then n bytes. The end is last. Where
there is nothing to tell an empty ``beat 0`` comes every few seconds: silence is a dead connection.
"""

from __future__ import annotations

import os
import select
import sys
import time

from .paths import Paths, read_json

# Small enough that a slow line gets one across before it breaks.
CHUNK = 1 << 16
BEAT = 4.0
# Where there is no inotify the log is looked at this often; with it, only as a safety net.
_POLL, _NET = 0.01, 1.0


class _Watch:
    """Wakes up when a file below the root was written or replaced, or the reader went away."""

    def __init__(self, folder: str, out: int) -> None:
        self._poll = select.poll()
        # No events asked for: only that the other end was closed.
        self._poll.register(out, 0)
        self._out = out
        self._inotify = _inotify(folder)
        if self._inotify >= 0:
            self._poll.register(self._inotify, select.POLLIN)

    def wait(self) -> bool:
        """False when nobody reads any more."""
        timeout = _NET if self._inotify >= 0 else _POLL
        for descriptor, _ in self._poll.poll(timeout * 1000):
            if descriptor == self._out:
                return False
            os.read(self._inotify, 1 << 16)
        return True


def _inotify(folder: str) -> int:
    """A descriptor that is readable after a change in the folder; -1 where there is none."""
    import ctypes

    in_modify, in_moved_to, in_create = 0x2, 0x80, 0x100
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if descriptor >= 0:
            mask = in_modify | in_moved_to | in_create
            if libc.inotify_add_watch(descriptor, os.fsencode(folder), mask) < 0:
                os.close(descriptor)
                return -1
        return descriptor
    except (OSError, AttributeError):
        return -1


class _Frames:
    """Writes frames to a descriptor, and knows when it last did."""

    def __init__(self, out: int) -> None:
        self._out = out
        self._sent = time.monotonic()

    def send(self, kind: bytes, body: bytes) -> None:
        pieces = [b"%s %d\n" % (kind, len(body)), body]
        sent = os.writev(self._out, pieces)
        rest = memoryview(b"".join(pieces))[sent:] if sent < sum(map(len, pieces)) else b""
        while rest:
            rest = rest[os.write(self._out, rest) :]
        self._sent = time.monotonic()

    def beat(self) -> None:
        """An empty frame, if nothing was sent for a while."""
        if time.monotonic() - self._sent >= BEAT:
            self.send(b"beat", b"")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def follow(paths: Paths, offset: int) -> int:
    """Send frames until the attempt has ended and all of its log was sent. 0 then; 1 when the
    reader went away."""
    out = sys.stdout.fileno()
    os.makedirs(paths.followers, exist_ok=True)
    mark = os.path.join(paths.followers, str(os.getpid()))
    try:
        with open(mark, "w"):
            return _frames(paths, offset, out)
    except (BrokenPipeError, ConnectionError):
        return 1
    finally:
        if os.path.exists(mark):
            os.unlink(mark)


def _frames(paths: Paths, offset: int, out: int) -> int:
    watch = _Watch(paths.root, out)
    frames = _Frames(out)
    log = -1
    seen = (0, 0)
    while True:
        # Looked at before the log: once there is an end, the log is whole.
        end = _read(paths.end)
        if log < 0 and os.path.exists(paths.log):
            log = os.open(paths.log, os.O_RDONLY)
        while log >= 0:
            data = os.pread(log, CHUNK, offset)
            if not data:
                break
            # Before the first output, all that led to it, such as the image, is in the status.
            seen = _status(paths, seen, frames)
            frames.send(b"log", data)
            offset += len(data)
        seen = _status(paths, seen, frames)
        if end:
            frames.send(b"end", end)
            return 0
        frames.beat()
        if not watch.wait():
            return 1


def _status(paths: Paths, seen: tuple[int, int], frames: _Frames) -> tuple[int, int]:
    """Send the status if it was replaced since ``seen``."""
    try:
        found = os.stat(paths.status)
    except FileNotFoundError:
        return seen
    version = (found.st_ino, found.st_mtime_ns)
    if version != seen:
        frames.send(b"status", _read(paths.status))
    return version


def show(paths: Paths) -> int:
    """Print status and end as one line of JSON."""
    import json

    print(json.dumps({"status": read_json(paths.status), "end": read_json(paths.end)}))
    return 0
