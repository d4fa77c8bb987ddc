"""Disks of machines kept as images, and what is left of them once they are forgotten."""

from __future__ import annotations

import secrets

import pytest

from moto_fixtures.machine import images
from moto_fixtures.machine.disks import KeptDisks, remove_kept
from moto_fixtures.machine.paths import LABEL
from moto_fixtures.machine.shell import docker


def kept(name: str) -> list[str]:
    return docker("image", "ls", "-q", "--filter", f"label={LABEL}={name}").split()


@pytest.fixture
def name():
    made = f"kept-{secrets.token_hex(4)}"
    yield made
    own = docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}={made}").split()
    if own:
        docker("rm", "--force", *own)
    remove_kept(made)


def sleeper(name: str, image: str) -> str:
    words = ("run", "--detach", "--label", f"{LABEL}={name}", "--entrypoint", "sleep")
    return docker(*words, image, "600").strip()


def test_an_image_is_forgotten_also_under_a_machine_that_goes_on(name):
    disks = KeptDisks(name)
    disks.keep(sleeper(name, images.ensure().base), "ami-1")
    reference = disks.of("ami-1")
    assert reference is not None
    booted = sleeper(name, reference)

    disks.forget("ami-1")
    assert disks.of("ami-1") is None
    assert docker("image", "ls", "-q", reference).split() == []
    assert docker("inspect", "--format", "{{.State.Running}}", booted).strip() == "true"

    docker("rm", "--force", booted)
    assert kept(name), "its bytes are there until the emulator goes"
    remove_kept(name)
    assert kept(name) == []
