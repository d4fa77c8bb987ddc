"""One emulated AWS for all end-to-end tests, and a user's repository for each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.emulated import ROOT, Emulator, Project, parse_exports


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    name = f"e2e-{os.getpid()}"
    command = [sys.executable, "-m", "moto_fixtures"]
    up = subprocess.run(
        [*command, "up", "--name", name], cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=900
    )
    try:
        assert up.returncode == 0, "the emulated AWS did not start"
        home = tmp_path_factory.mktemp("home")
        keep = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        yield Emulator({**keep, "HOME": str(home), **parse_exports(up.stdout)})
    finally:
        subprocess.run([*command, "down", "--name", name], cwd=ROOT, timeout=300, check=True)


@pytest.fixture
def project(emulator: Emulator, tmp_path: Path) -> Project:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return Project(tmp_path, emulator.environ)
