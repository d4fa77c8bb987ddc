"""Which image a machine boots from, and what must be known of it before a launch.

Images: "AWS Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04)" and its ARM64 sister
(docs.aws.amazon.com/dlami/latest/devguide, release notes: G4dn and newer, G5g) and "Finding
Ubuntu images with the AWS Systems Manager Parameter Store" (documentation.ubuntu.com/aws).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dstack_cloud.clouds.aws.errors import failed, translated
from dstack_cloud.clouds.base import MachineImage
from dstack_cloud.errors import InputError
from dstack_cloud.resources import Offer
from dstack_cloud.units import GIB

# Older than Turing: the open kernel modules, and so the Deep Learning image, have no driver for
# them. The branch is the last one that supports the GPU and builds for Ubuntu 22.04's kernel
# (docs.nvidia.com/datacenter/tesla/drivers: "Supported Drivers and CUDA Toolkit Versions").
OLD_GPUS = {
    "K80": "470",
    "K520": "470",
    "M60": "535",
    "P4": "535",
    "P40": "535",
    "P100": "535",
    "V100": "535",
}
_DEEP_LEARNING = (
    "/aws/service/deeplearning/ami/{arch}/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
)
_UBUNTU_24 = "/aws/service/canonical/ubuntu/server/24.04/stable/current/{arch}/hvm/ebs-gp3/ami-id"
_UBUNTU_22 = "/aws/service/canonical/ubuntu/server/22.04/stable/current/{arch}/hvm/ebs-gp2/ami-id"
_CANONICAL_ARCH = {"x86_64": "amd64"}
_DEFAULT_ADDITION = 100 * GIB


@dataclass(frozen=True)
class Recipe:
    """How to find an image (an AMI's id, or an SSM parameter's name) and what is in it."""

    source: str
    ready: bool
    driver: str | None = None


@dataclass(frozen=True)
class Image:
    """An image that was found: ``size`` is the bytes that its root volume needs at least."""

    machine: MachineImage
    root_device: str
    size: int

    def volume_gib(self, disk: int | None) -> int:
        """GiB of the root volume for a wanted size in bytes; None: 100 GB beside the image."""
        wanted = self.size + _DEFAULT_ADDITION if disk is None else disk
        return -(-max(wanted, self.size) // GIB)


def recipe(offer: Offer, configured: str | None = None) -> Recipe:
    """Which image fits an offer.

    A configured one (AMI id or SSM parameter's name) is taken as it is and counts as ready. A
    machine that is not ready starts slower: the provisioning script runs at its first boot.
    """
    if configured:
        return Recipe(configured, ready=True)
    arch = _CANONICAL_ARCH.get(offer.architecture, offer.architecture)
    if offer.gpu is None:
        return Recipe(_UBUNTU_24.format(arch=arch), ready=False)
    driver = OLD_GPUS.get(offer.gpu.name)
    if driver is not None:
        return Recipe(_UBUNTU_22.format(arch=arch), ready=False, driver=driver)
    return Recipe(_DEEP_LEARNING.format(arch=offer.architecture), ready=True)


def starts_slower(offer: Offer, configured: str | None = None) -> bool:
    """Whether the machine of an offer is provisioned at its first boot: for the plan to tell."""
    return not recipe(offer, configured).ready


def find(ec2: Any, ssm: Any, region: str, recipes: Iterable[Recipe]) -> dict[Recipe, Image]:
    """The image of each recipe in the region: two calls, whatever their number.

    ``ssm`` is a callable that gives the SSM client: it is not made where no parameter is read.
    Raises InputError when the region does not have an image.
    """
    wanted = list(dict.fromkeys(recipes))
    if not wanted:
        return {}
    ids = {one: one.source for one in wanted if one.source.startswith("ami-")}
    parameters = [one for one in wanted if one not in ids]
    if parameters:
        values = _parameters(ssm(), region, [one.source for one in parameters])
        ids |= {one: values[one.source] for one in parameters}
    described = _describe(ec2, region, sorted(set(ids.values())))
    return {one: _image(described[ami], one) for one, ami in ids.items()}


def _parameters(ssm: Any, region: str, names: list[str]) -> dict[str, str]:
    with translated("finding the image", region):
        answer = ssm.get_parameters(Names=list(dict.fromkeys(names)))
    values = {one["Name"]: str(one["Value"]) for one in answer["Parameters"]}
    missing = [name for name in names if name not in values]
    if missing:
        raise InputError(
            f"{region} does not have the SSM parameter {missing[0]}, which names the image",
            "name an image of your own in the setting aws.image, or use another --region",
        )
    return values


def _describe(ec2: Any, region: str, ids: list[str]) -> dict[str, Any]:
    with translated("reading the image", region):
        answer = ec2.describe_images(ImageIds=ids)
    found = {image["ImageId"]: image for image in answer["Images"]}
    missing = [ami for ami in ids if ami not in found]
    if missing:
        raise failed("InvalidAMIID.NotFound", f"{missing[0]} is not there", "reading the image")
    return found


def _image(facts: dict[str, Any], how: Recipe) -> Image:
    root = facts["RootDeviceName"]
    sizes = [
        mapping["Ebs"].get("VolumeSize", 0)
        for mapping in facts.get("BlockDeviceMappings", ())
        if mapping.get("DeviceName") == root and "Ebs" in mapping
    ]
    machine = MachineImage(facts["ImageId"], ready=how.ready, driver=how.driver)
    return Image(machine, root, max(sizes, default=8) * GIB)
