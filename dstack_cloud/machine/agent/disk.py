"""A full disk must not keep the agent from writing down how the attempt ended."""

from __future__ import annotations

import contextlib
import os

from .paths import Paths

RESERVE = 32 << 20
# Less than this free counts as full: the engine and the container fail well before zero.
FULL = 16 << 20


def hold_reserve(paths: Paths) -> None:
    """Set some space aside, in a file that `release` removes."""
    try:
        with open(paths.reserve, "ab") as file:
            if free(paths) > 8 * RESERVE:
                os.posix_fallocate(file.fileno(), 0, RESERVE)
    except OSError:
        # Nothing to spare, or a file system that cannot: then there is no reserve.
        pass


def release(paths: Paths) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(paths.reserve)


def free(paths: Paths) -> int:
    """Bytes that are left on the root's file system."""
    found = os.statvfs(paths.root)
    return found.f_bavail * found.f_frsize


def full(paths: Paths) -> bool:
    return free(paths) < FULL
