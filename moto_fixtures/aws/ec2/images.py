"""The public images of each region, and the SSM parameters that name them.

Two kinds of emulated machine image stand behind them: ``ready`` (the Deep Learning Base AMI:
driver, Docker, container toolkit in) and ``stock`` (Ubuntu as Canonical publishes it).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from moto_fixtures.aws import backends
from moto_fixtures.aws.backends import ACCOUNT

Kind = Literal["ready", "stock"]

# An image's id says its kind.
_PREFIX: dict[Kind, str] = {"ready": "ami-0d1a", "stock": "ami-0c0f"}
AMAZON = "898082745236"
CANONICAL = "099720109477"


@dataclass(frozen=True)
class PublicImage:
    """One image that every region has, under an id of its own; ``size_gb`` of its snapshot."""

    kind: Kind
    parameter: str
    name: str
    owner: str
    alias: str | None
    architecture: str
    size_gb: int
    root: str = "/dev/sda1"

    def id_in(self, region: str) -> str:
        digest = hashlib.sha256(f"{region} {self.name}".encode()).hexdigest()
        return _PREFIX[self.kind] + digest[:13]


def is_ready(image_id: str) -> bool:
    """Whether it is one that stands for a deep learning image; any other is as stock."""
    return image_id.startswith(_PREFIX["ready"])


# Parameter names: docs.aws.amazon.com/dlami/latest/devguide (release notes of the Base OSS
# Nvidia Driver GPU AMI) and documentation.ubuntu.com/aws (Finding images with SSM). Sizes and
# names are plausible, not read from the real images.
PUBLIC_IMAGES = (
    PublicImage(
        "ready",
        "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04"
        "/latest/ami-id",
        "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) 20261106",
        AMAZON,
        "amazon",
        "x86_64",
        45,
    ),
    PublicImage(
        "ready",
        "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04"
        "/latest/ami-id",
        "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 22.04) 20261106",
        AMAZON,
        "amazon",
        "x86_64",
        45,
    ),
    PublicImage(
        "stock",
        "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20261101",
        CANONICAL,
        None,
        "x86_64",
        8,
    ),
    PublicImage(
        "stock",
        "/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id",
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-20261101",
        CANONICAL,
        None,
        "arm64",
        8,
    ),
    PublicImage(
        "stock",
        "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id",
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20261101",
        CANONICAL,
        None,
        "x86_64",
        8,
    ),
)


def seed_images(region: str) -> None:
    """Make the public images known to moto's EC2 of a region."""
    from moto.ec2.models.amis import Ami

    class Published(Ami):
        size_gb = 8

        @property
        def block_device_mappings(self) -> list[dict[str, Any]]:
            return [
                {
                    "DeviceName": self.root_device_name,
                    "Ebs": {
                        "SnapshotId": self.ebs_snapshot.id,
                        "VolumeSize": self.size_gb,
                        "DeleteOnTermination": True,
                        "VolumeType": "gp3",
                        "Encrypted": False,
                    },
                }
            ]

    backend = backends.ec2(region)
    for image in PUBLIC_IMAGES:
        image_id = image.id_in(region)
        if image_id in backend.amis:
            continue
        made = Published(
            backend,
            image_id,
            name=image.name,
            description=image.name,
            owner_id=image.owner,
            owner_alias=image.alias,
            public=True,
            virtualization_type="hvm",
            architecture=image.architecture,
            hypervisor="xen",
            root_device_type="ebs",
            root_device_name=image.root,
            image_location=f"amazon/{image.name}",
            region_name=f"{region}a",
        )
        made.size_gb = image.size_gb
        backend.amis[image_id] = made


def seed_parameters(region: str) -> None:
    """Make the parameters that name the images known to moto's SSM of a region."""
    from moto.ssm.models import Parameter, ssm_backends

    backend = ssm_backends[ACCOUNT][region]
    for image in PUBLIC_IMAGES:
        if backend._parameters.get(image.parameter):
            continue
        backend._parameters[image.parameter].append(
            # moto itself instantiates it, abstract methods and all.
            Parameter(  # type: ignore[abstract]
                account_id=ACCOUNT,
                name=image.parameter,
                value=image.id_in(region),
                parameter_type="String",
                description=image.name,
                allowed_pattern=None,
                keyid=None,
                last_modified_date=datetime(2026, 11, 6),
                version=1,
                data_type="aws:ec2:image",
                tier="Standard",
            )
        )
