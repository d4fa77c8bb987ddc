"""Which image a machine boots from, and what must be known of it before a launch.

Images: "Deep Learning VM: choose an image" (docs.cloud.google.com/deep-learning-vm/docs/images) and
"Operating system details" (docs.cloud.google.com/compute/docs/images/os-details). Both are Ubuntu
with cloud-init, which the machines' user data needs. Disks: "About Persistent Disk" and "About
Google Cloud Hyperdisk", the tables of supported machine series.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dstack_cloud.clouds.base import MachineImage
from dstack_cloud.clouds.gcp.errors import translated
from dstack_cloud.errors import InputError
from dstack_cloud.resources import Offer
from dstack_cloud.units import GIB

# Older than Turing: NVIDIA's branch 580 is the last that has them, 535 the last that is tried for
# Ubuntu 22.04's kernel (docs.nvidia.com/datacenter/tesla/drivers); the Deep Learning image has the
# open kernel modules, which begin with Turing.
OLD_GPUS = {"K80": "470", "P4": "535", "P100": "535", "V100": "535"}
_DEEP_LEARNING = "deeplearning-platform-release/family/common-cu129-ubuntu-2404-nvidia-580"
_UBUNTU_24 = "ubuntu-os-cloud/family/ubuntu-2404-lts-amd64"
_UBUNTU_22 = "ubuntu-os-cloud/family/ubuntu-2204-lts"
_DEFAULT_ADDITION = 100 * GIB
_LEAST = 10 * GIB
_SOURCE = re.compile(r"(?P<project>[a-z][a-z0-9.:-]*)/(?P<family>family/)?(?P<name>[a-z0-9-]+)")


@dataclass(frozen=True)
class Recipe:
    """How to find an image (``PROJECT/IMAGE`` or ``PROJECT/family/FAMILY``), and what is in it."""

    source: str
    ready: bool
    driver: str | None = None


@dataclass(frozen=True)
class Image:
    """An image that was found: ``size`` is the bytes that its disk needs at least."""

    machine: MachineImage
    size: int

    def disk_gib(self, disk: int | None) -> int:
        """GiB of the boot disk for a wanted size in bytes; None: 100 GB beside the image."""
        wanted = self.size + _DEFAULT_ADDITION if disk is None else disk
        return -(-max(wanted, self.size) // GIB)


def recipe(offer: Offer, configured: str | None = None) -> Recipe:
    """Which image fits an offer.

    A configured one is taken as it is and counts as ready. A machine that is not ready starts
    slower: the provisioning script runs at its first boot.
    """
    if configured:
        return Recipe(configured, ready=True)
    if offer.gpu is None:
        return Recipe(_UBUNTU_24, ready=False)
    driver = OLD_GPUS.get(offer.gpu.name)
    if driver is not None:
        return Recipe(_UBUNTU_22, ready=False, driver=driver)
    return Recipe(_DEEP_LEARNING, ready=True)


def starts_slower(offer: Offer, configured: str | None = None) -> bool:
    """Whether the machine of an offer is provisioned at its first boot: for the plan to tell."""
    return not recipe(offer, configured).ready


def parsed(source: str) -> tuple[str, str, bool]:
    """(project, name, whether it is a family) of an image's source. InputError."""
    found = _SOURCE.fullmatch(source)
    if found is None:
        raise InputError(
            f"'{source}' is not an image of Google Cloud",
            "write PROJECT/IMAGE or PROJECT/family/FAMILY in the setting gcp.image",
        )
    return found["project"], found["name"], found["family"] is not None


def find(images: Any, recipes: Iterable[Recipe]) -> dict[Recipe, Image]:
    """The image of each recipe; ``images`` is the SDK's client.

    Raises InputError when there is no such image.
    """
    return {one: _find(images, one) for one in dict.fromkeys(recipes)}


def _find(images: Any, how: Recipe) -> Image:
    project, name, family = parsed(how.source)
    with translated(f"reading the image {how.source}"):
        if family:
            found = images.get_from_family(project=project, family=name)
        else:
            found = images.get(project=project, image=name)
    if (found.architecture or "X86_64") != "X86_64":
        raise InputError(
            f"the image {how.source} is for {found.architecture}",
            "name one for X86_64 in the setting gcp.image",
        )
    # By its own name, not the family's: what was read is what boots.
    machine = MachineImage(
        f"projects/{project}/global/images/{found.name}", ready=how.ready, driver=how.driver
    )
    return Image(machine, max(int(found.disk_size_gb) * GIB, _LEAST))
