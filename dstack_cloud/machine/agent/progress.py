"""How many hours of work are left, by the program's own word: the number in its progress file.

The file is the container's to write, as anything: what is not a number of hours is no word at all.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable

from .note import note
from .paths import Paths
from .times import text

EVERY = 2.0
# More hours than a year has are a slip of the pen, and a longer text is no number.
_MOST, _LONGEST = 24.0 * 366, 64


def prepare(paths: Paths) -> None:
    """The folder that the container finds the file in: any user in it may write there."""
    os.makedirs(paths.progress, exist_ok=True)
    os.chmod(paths.progress, 0o777)


def parse(data: bytes) -> float | None:
    """The hours, or None for anything but a plain number of them. Pure."""
    try:
        hours = float(data.decode("ascii"))
    except ValueError:
        return None
    # `nan` and `inf` are numbers to Python, and no hours.
    return hours if 0 <= hours <= _MOST else None


def read(paths: Paths) -> tuple[float, float] | None:
    """The hours left and when they were written (seconds since 1970), None without a word.

    Only a plain file: the container may leave a link to one of ours, or a pipe that never answers.
    """
    try:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(os.path.join(paths.progress, "hours_left"), flags)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LONGEST:
            return None
        hours = parse(os.read(descriptor, _LONGEST))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None if hours is None else (hours, found.st_mtime)


def look(paths: Paths, tell: Callable[[float, str], None]) -> tuple[float, float] | None:
    """Tell the present word, with its moment, if there is one."""
    found = read(paths)
    if found is not None:
        tell(found[0], text(found[1]))
    return found


def watch(
    paths: Paths, over: threading.Event, tell: Callable[[float, str], None], every: float = EVERY
) -> None:
    """Tell each new word. A file that cannot be read leaves the last one."""
    known = None
    while True:
        found = read(paths)
        if found is not None and found != known:
            known = look(paths, tell)
        elif found is None and known is not None:
            known = None
            note("progress: the file holds no number of hours")
        if over.wait(every):
            return
