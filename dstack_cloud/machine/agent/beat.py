"""The sign of life that the dead-man timer waits for.

Apart from `machine`, so that `start` need not load what speaks HTTP before it can give it.
"""

from __future__ import annotations

from .paths import Paths, write
from .times import uptime


def beat(paths: Paths) -> None:
    """A sign of life: the uptime in whole seconds. A shell reads it."""
    write(paths.heartbeat, b"%d\n" % uptime())
