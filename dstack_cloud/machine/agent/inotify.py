"""The kernel's notices of changed files, through the C library: there is no module for them.

https://man7.org/linux/man-pages/man7/inotify.7.html
"""

from __future__ import annotations

import os
from struct import Struct
from typing import NamedTuple

MODIFY, CLOSE_WRITE, MOVED_FROM, MOVED_TO = 0x2, 0x8, 0x40, 0x80
CREATE, DELETE = 0x100, 0x200
# Only ever told, not asked for: events were lost; a watch is gone; the name is a folder's.
OVERFLOW, IGNORED, FOLDER = 0x4000, 0x8000, 0x40000000
ONLY_FOLDERS = 0x01000000

_HEAD = Struct("iIII")


class Event(NamedTuple):
    """``name`` is that of the entry in the watched folder, empty for the folder itself."""

    watch: int
    mask: int
    name: bytes


def parse(data: bytes) -> list[Event]:
    """The events of one read."""
    events = []
    position = 0
    while position < len(data):
        watch, mask, _, length = _HEAD.unpack_from(data, position)
        position += _HEAD.size
        events.append(Event(watch, mask, data[position : position + length].rstrip(b"\0")))
        position += length
    return events


class Inotify:
    """One queue of events. Raises OSError where there is none to be had."""

    def __init__(self) -> None:
        import ctypes

        try:
            self._libc = ctypes.CDLL(None, use_errno=True)
            self.descriptor = int(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        except AttributeError as error:
            raise OSError(f"no inotify: {error}") from error
        self._errno = ctypes.get_errno
        if self.descriptor < 0:
            raise OSError(self._errno(), "inotify_init1")

    def add(self, folder: str, mask: int) -> int:
        """Watch a folder; the same number again for one that is watched. OSError: ENOSPC when
        the user's limit is reached."""
        watch = int(self._libc.inotify_add_watch(self.descriptor, os.fsencode(folder), mask))
        if watch < 0:
            error = self._errno()
            raise OSError(error, os.strerror(error), folder)
        return watch

    def remove(self, watch: int) -> None:
        """Harmless when it is gone."""
        self._libc.inotify_rm_watch(self.descriptor, watch)

    def read(self) -> list[Event]:
        """What has happened, in order; empty when nothing has."""
        try:
            return parse(os.read(self.descriptor, 1 << 16))
        except BlockingIOError:
            return []

    def close(self) -> None:
        os.close(self.descriptor)
