"""Disks of machines that were kept as images: Docker images of one emulator, gone with it.

What is on a machine's disk is what its container changed in its own file system. Memory file
systems are no disk; the volumes of its Docker and its mounted files (apt's settings, Docker's) are
not copied either, though on a real machine the former would be.
"""

from __future__ import annotations

import threading

from moto_fixtures.machine.paths import LABEL
from moto_fixtures.machine.shell import docker

_KEPT = f"{LABEL}-kept"


class KeptDisks:
    """Those of one emulator, by the cloud's name of the image."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._kept: dict[str, str] = {}

    def keep(self, container: str, image: str) -> None:
        """Copy a container's disk while it is paused. FixtureError where that fails."""
        reference = f"{_KEPT}/{self._name}:{_tag(image)}"
        docker(
            *("commit", "--change", f"LABEL {LABEL}={self._name}"),
            *("--change", 'CMD ["/bin/bash"]', container, reference),
        )
        with self._lock:
            self._kept[image] = reference

    def of(self, image: str) -> str | None:
        """The Docker image of one that was kept; None where it is one of the clouds' own."""
        with self._lock:
            return self._kept.get(image)

    def forget(self, image: str) -> None:
        """No machine boots it any more; those that did go on."""
        with self._lock:
            reference = self._kept.pop(image, None)
        if reference is not None:
            # By force: the engine would else refuse while the container of a machine that booted
            # it is there. The name goes at once, the bytes when the emulator does.
            docker("image", "rm", "--force", reference, check=False)


def remove_kept(name: str) -> None:
    """Remove all that an emulator kept."""
    # By label, not by name: what was forgotten under a machine that goes on has none.
    own = docker("image", "ls", "-q", "--filter", f"label={LABEL}={name}").split()
    for image in dict.fromkeys(own):
        docker("image", "rm", "--force", image, check=False)


def _tag(image: str) -> str:
    """``ami-…`` as it is; of a path its last part."""
    return image.rpartition("/")[2]
