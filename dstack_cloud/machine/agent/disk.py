"""A full disk must not keep the agent from writing down how the attempt ended."""

from __future__ import annotations

import contextlib
import os

from .paths import Paths

# For what is left of the log, and for the records of the end: never given to a container that
# still runs, which would use it up.
FOR_LOG = 32 << 20
FOR_END = 1 << 20
# Less than this free counts as full: the engine and the container fail well before zero.
FULL = 16 << 20


def hold_reserve(paths: Paths) -> None:
    """Set some space aside, in files that `release` removes: less on a small disk."""
    for path, size in ((paths.end_reserve, FOR_END), (paths.log_reserve, FOR_LOG)):
        if os.path.exists(path):
            continue
        # Nothing to spare, or a file system that cannot: then there is no reserve.
        with contextlib.suppress(OSError), open(path, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, min(size, free(paths) // 8))


def release(paths: Paths, everything: bool = False) -> bool:
    """Give up the log's reserve, or everything. True if there was something to give up."""
    released = False
    for path in (paths.log_reserve, paths.end_reserve) if everything else (paths.log_reserve,):
        with contextlib.suppress(OSError):
            os.unlink(path)
            released = True
    return released


def free(paths: Paths) -> int:
    """Bytes that are left on the root's file system."""
    found = os.statvfs(paths.root)
    return found.f_bavail * found.f_frsize


def full(paths: Paths) -> bool:
    return free(paths) < FULL
