"""One emulated cloud of each kind for all end-to-end tests, and a user's repository for each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import pytest
from support.emulated import ROOT, Emulator, Project, parse_exports
from support.local import containers, rows

from moto_fixtures.machine import images

# Before they are imported: what their assertions saw is told, as in a test.
pytest.register_assert_rewrite(
    "support.kill_cases",
    "support.lane",
    "support.refusals",
    "support.shortages",
    "support.warm",
)


@pytest.fixture(scope="session")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Emulator]]:
    """The emulated cloud of a name, begun when a test first wants it."""
    with _begun(tmp_path_factory) as cloud:
        yield cloud


@pytest.fixture
def emulator(request: pytest.FixtureRequest, clouds: Callable[[str], Emulator]) -> Emulator:
    """AWS, or by parameter another: see `EVERY_CLOUD`."""
    return clouds(getattr(request, "param", "aws"))


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Emulator]]:
    """The same, whose machines are stubs."""
    with _begun(tmp_path_factory, "-stub", "--stub") as cloud:
        yield cloud


@pytest.fixture(scope="module")
def stub(request: pytest.FixtureRequest, stubs: Callable[[str], Emulator]) -> Emulator:
    """AWS with stubs for machines, or by parameter another cloud: see `EVERY_STUB`."""
    return stubs(getattr(request, "param", "aws"))


@pytest.fixture(scope="module")
def gcp_stub(stubs: Callable[[str], Emulator]) -> Emulator:
    """Google Cloud of that kind."""
    return stubs("gcp")


@contextmanager
def _begun(
    tmp_path_factory: pytest.TempPathFactory, kind: str = "", *options: str
) -> Iterator[Callable[[str], Emulator]]:
    """The emulated cloud of a name and a kind, once for all who want it."""
    with ExitStack() as stack:

        @cache
        def cloud(name: str) -> Emulator:
            home = str(tmp_path_factory.mktemp("home"))
            words = ("--cloud", name, *options)
            return stack.enter_context(_emulator(f"e2e-{name}{kind}-{os.getpid()}", home, *words))

        yield cloud


@contextmanager
def _emulator(name: str, home: str, *options: str) -> Iterator[Emulator]:
    command = [sys.executable, "-m", "moto_fixtures"]
    up = subprocess.run(
        [*command, "up", "--name", name, *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=900,
    )
    try:
        assert up.returncode == 0, "the emulated cloud did not start"
        keep = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        yield Emulator({**keep, "HOME": home, **parse_exports(up.stdout)})
    finally:
        subprocess.run([*command, "down", "--name", name], cwd=ROOT, timeout=300, check=True)


@pytest.fixture
def project(emulator: Emulator, tmp_path: Path) -> Iterator[Project]:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    yield Project(tmp_path, emulator.environ)
    # What a test that failed has left must not fail the next one.
    for machine in emulator.machines():
        emulator.post(f"/_emulator/machines/{machine['id']}/kill")


@pytest.fixture
def stub_project(stub: Emulator, tmp_path: Path) -> Project:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return Project(tmp_path, stub.environ)


@pytest.fixture(scope="session")
def image() -> str:
    """An image that this machine has: its own release, bare."""
    return images.ensure().base


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Project]:
    """A repository of a user who has configured nothing."""
    folder = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    keep = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    project = Project(folder, {**keep, "HOME": str(tmp_path / "home")})
    booted = Path("/proc/sys/kernel/random/boot_id").read_text()
    yield project
    for run in (row["run"] for row in rows(project) if row["state"] == "running"):
        project.cli("stop", run, "--abort")
    assert containers(project) == []
    assert Path("/proc/sys/kernel/random/boot_id").read_text() == booted
