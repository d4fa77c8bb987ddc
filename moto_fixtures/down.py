"""Take an emulator, or all of them, away without a trace."""

from __future__ import annotations

import shutil

from moto_fixtures.machine import disks, images, network, process, registry
from moto_fixtures.machine.container import remove_cgroups
from moto_fixtures.machine.locks import only_one
from moto_fixtures.machine.paths import LABEL, cache_dir, home, state_dir
from moto_fixtures.machine.shell import docker, engine_answers, say


def down(name: str) -> None:
    """Remove the emulator called ``name``; harmless when there is none."""
    with only_one(f"up-{name}"):
        take_down(name)


def down_all() -> None:
    """Remove every emulator, and what is kept between them: images and registry content."""
    for name in _names():
        down(name)
    with only_one("images"):
        if engine_answers():
            say("removing the images")
            images.remove_all()
        shutil.rmtree(cache_dir(), ignore_errors=True)


def take_down(name: str, *, quiet: bool = False) -> None:
    """As ``down``, for those who hold the lock."""
    state = state_dir(name)
    # Its own end removes its machines. What follows is for one that was killed.
    process.stop(state, "server", patience=10)
    registry.stop(name)
    if engine_answers():
        own = f"label={LABEL}={name}"
        left = docker("ps", "--all", "--quiet", "--filter", own).split()
        if left:
            docker("rm", "--force", "--volumes", *left, check=False)
        disks.remove_kept(name)
        network.remove(name)
    remove_cgroups(name)
    shutil.rmtree(state, ignore_errors=True)
    if not quiet:
        say(f"emulator {name}: down")


def _names() -> list[str]:
    """Of all emulators that have left anything: a state directory, a container, a network."""
    up = home() / "up"
    found = {path.name for path in up.iterdir()} if up.is_dir() else set()
    if engine_answers():
        form = f'{{{{.Label "{LABEL}"}}}}'
        for kind in (["ps", "--all"], ["network", "ls"]):
            listed = docker(*kind, "--filter", f"label={LABEL}", "--format", form).split()
            found.update(name for name in listed if name != "build")
    return sorted(found)
