"""Public images, as far as launches here name them.

Families and their projects: cloud.google.com/compute/docs/images/os-details and
cloud.google.com/deep-learning-vm/docs/images. Versions and sizes are made up in their form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moto_fixtures.gcp.call import Call, GcpError
from moto_fixtures.gcp.project import link, not_found

_MADE = "2026-10-15T03:10:00.000-07:00"
FEATURES = ("VIRTIO_SCSI_MULTIQUEUE", "UEFI_COMPATIBLE", "GVNIC")


@dataclass(frozen=True)
class Image:
    """``ready``: Docker and the GPU's driver are in it."""

    project: str
    family: str
    name: str
    number: str
    disk_gb: int
    ready: bool = False
    architecture: str = "X86_64"

    @property
    def path(self) -> str:
        return f"projects/{self.project}/global/images/{self.name}"

    def resource(self) -> dict[str, Any]:
        return {
            "kind": "compute#image",
            "id": self.number,
            "creationTimestamp": _MADE,
            "name": self.name,
            "description": f"{self.family}, emulated",
            "family": self.family,
            "status": "READY",
            "sourceType": "RAW",
            "architecture": self.architecture,
            "archiveSizeBytes": str(self.disk_gb * 10**8),
            "diskSizeGb": str(self.disk_gb),
            "guestOsFeatures": [{"type": feature} for feature in FEATURES],
            "labelFingerprint": "42WmSpB8rSM=",
            "licenses": [link(f"projects/{self.project}/global/licenses/{self.family}")],
            "selfLink": link(self.path),
            "storageLocations": ["us"],
        }


IMAGES = (
    Image(
        "deeplearning-platform-release",
        "common-cu129-ubuntu-2404-nvidia-580",
        "common-cu129-ubuntu-2404-nvidia-580-v20261015",
        "7202610150000000001",
        50,
        ready=True,
    ),
    Image(
        "ubuntu-os-accelerator-images",
        "ubuntu-accelerator-2404-amd64-with-nvidia-580",
        "ubuntu-accelerator-2404-amd64-with-nvidia-580-v20261012",
        "7202610120000000002",
        20,
    ),
    Image(
        "ubuntu-os-cloud",
        "ubuntu-2404-lts-amd64",
        "ubuntu-2404-noble-amd64-v20261014",
        "7202610140000000003",
        10,
    ),
    Image(
        "ubuntu-os-cloud",
        "ubuntu-2204-lts",
        "ubuntu-2204-jammy-v20261014",
        "7202610140000000004",
        10,
    ),
    Image(
        "ubuntu-os-cloud",
        "ubuntu-2404-lts-arm64",
        "ubuntu-2404-noble-arm64-v20261014",
        "7202610140000000005",
        10,
        architecture="ARM64",
    ),
)


OWN: dict[str, Image] = {}
"""Those of the project's own, by path: see `own_images`. One process is one emulator."""


def get(call: Call) -> dict[str, Any]:
    """``compute.images.get``."""
    return _found(call.params["project"], "images", call.params["image"]).resource()


def from_family(call: Call) -> dict[str, Any]:
    """``compute.images.getFromFamily``."""
    return _found(call.params["project"], "images/family", call.params["family"]).resource()


def source(url: str) -> Image:
    """What ``sourceImage`` names: an image or a family, by full or partial URL."""
    parts = url.split("/projects/")[-1].removeprefix("projects/").split("/")
    if len(parts) == 5 and parts[1:4] == ["global", "images", "family"]:
        return _found(parts[0], "images/family", parts[4])
    if len(parts) == 4 and parts[1:3] == ["global", "images"]:
        image = _found(parts[0], "images", parts[3])
        if image.resource()["status"] != "READY":
            raise GcpError(400, "resourceNotReady", f"The resource '{image.path}' is not ready")
        return image
    raise not_found(url)


def _found(project: str, kind: str, name: str) -> Image:
    for image in [*IMAGES, *OWN.values()]:
        own = image.family if kind == "images/family" else image.name
        if (image.project, own) == (project, name):
            return image
    raise not_found(f"projects/{project}/global/{kind}/{name}")


HANDLERS = {"compute.images.get": get, "compute.images.getFromFamily": from_family}
