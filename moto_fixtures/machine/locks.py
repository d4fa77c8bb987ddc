"""One at a time, across processes: whoever comes second waits, and is told."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from moto_fixtures.machine.paths import home
from moto_fixtures.machine.shell import say


@contextmanager
def only_one(what: str) -> Iterator[None]:
    """Hold the lock called ``what`` for as long as the block runs."""
    directory = home() / "locks"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / f"{what}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that works on {what}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
