"""Where the emulated clouds keep their files: one home, one directory per emulator name."""

from __future__ import annotations

import os
import re
from pathlib import Path

from moto_fixtures.machine.shell import FixtureError

LABEL = "dstack-cloud-fixtures"
"""Label of every container, network and image made here; its value is the emulator's name."""


def home() -> Path:
    """``$MOTO_FIXTURES_HOME``, else ``~/.cache/dstack-cloud-fixtures``."""
    chosen = os.environ.get("MOTO_FIXTURES_HOME")
    return Path(chosen) if chosen else Path.home() / ".cache" / "dstack-cloud-fixtures"


def checked_name(name: str) -> str:
    """An emulator's name is part of container, network and file names."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
        raise FixtureError(f"not a name for an emulator: {name!r} (a-z, 0-9, -; at most 31)")
    return name


def state_dir(name: str) -> Path:
    """Everything of one running emulator; gone after ``down``."""
    return home() / "up" / checked_name(name)


def cache_dir() -> Path:
    """What is worth keeping between one ``up`` and the next: the registry's content."""
    return home() / "images"


def container_name(name: str, machine_id: str) -> str:
    return f"dcf-{name}-{machine_id}"
