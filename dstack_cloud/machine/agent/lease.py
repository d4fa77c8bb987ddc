"""Read leases: the kernel's own word on whether anybody has a file open for writing.

A lease is granted only while nobody has; and whoever opens the file for writing after that waits
until the lease is given back. So a file that is copied under a lease cannot change meanwhile.
https://man7.org/linux/man-pages/man2/F_GETLEASE.2const.html
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import stat
from collections.abc import Iterable

HELD, WRITER, NONE = "held", "writer", "none"


def ignore_signals() -> None:
    """The kernel announces a waiting writer by a signal that would end the process; `Leases` asks
    instead. From the main thread only."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)


def more_files() -> None:
    """Each lease holds a file open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Lease:
    """``state``: HELD; WRITER where somebody has the file open for writing; NONE where the file
    system knows no leases, or the file is another user's.

    Raises OSError where there is no regular file.
    """

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self.state = self._take()
            # After the lease: from here on nothing changes.
            found = os.fstat(self._descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "not a regular file", path)
            self.size, self.changed = found.st_size, found.st_mtime_ns
        except OSError:
            os.close(self._descriptor)
            raise

    def _take(self) -> str:
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            return HELD
        except OSError as error:
            return WRITER if error.errno == errno.EAGAIN else NONE

    @property
    def broken(self) -> bool:
        """Whether a writer waits, or the kernel has taken the lease away."""
        if self.state is not HELD:
            return False
        return fcntl.fcntl(self._descriptor, fcntl.F_GETLEASE) != fcntl.F_RDLCK

    def close(self) -> None:
        if self.state is HELD:
            # Not left to the close: a child that is just being started has the descriptor, too.
            fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        os.close(self._descriptor)


def broken(leases: Iterable[Lease]) -> bool:
    return any(lease.broken for lease in leases)
