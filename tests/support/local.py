"""The local cloud of a user, as the end-to-end tests see it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from support.emulated import Project


def rows(project: Project) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = project.json("ps", "--all")["runs"]
    return found


def folders(project: Project) -> list[Path]:
    """The local machines of the user."""
    home = Path(project.environ["HOME"])
    return sorted(home.glob(".local/state/dstack-cloud/machines/*/local-*"))


def containers(project: Project) -> list[str]:
    """The containers of the user's runs."""
    argv = ["docker", "ps", "--all", "--format", "{{.Names}}"]
    names = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
    ours = {f"dstack-{folder.name}" for folder in folders(project)}
    return [name for name in names if name in ours]
