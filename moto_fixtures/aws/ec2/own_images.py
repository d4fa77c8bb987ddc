"""CreateImage and what undoes it: the disk of a machine as an image that machines really boot."""

from __future__ import annotations

import re
import threading
from typing import Any

from moto_fixtures.aws import backends
from moto_fixtures.aws.answer import Answer, AwsError
from moto_fixtures.aws.ec2.spec import tags_of
from moto_fixtures.aws.request import Request
from moto_fixtures.machine.shell import FixtureError

# docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html (Name).
_NAME = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]{3,128}")
_ALIVE = ("running", "stopped")


def create_image(request: Request) -> Answer:
    """``pending`` until the disk is copied. The machine is paused for it, not restarted."""
    params = request.params
    region = request.region
    backend = backends.ec2(region)
    instance = request.emulator.instances.find(str(params.get("InstanceId") or ""))
    name = str(params.get("Name") or "")
    if not _NAME.fullmatch(name):
        raise AwsError("InvalidAMIName.Malformed", f"AMI names must be valid; '{name}' is not")
    if instance.state not in _ALIVE:
        raise AwsError("IncorrectState", f"Instance '{instance.id}' is not running or stopped")
    with request.emulator.instances.lock(region):
        taken = [i for i in backend.amis.values() if i.owner_id == backend.account_id]
        for image in taken:
            if image.name == name:
                raise AwsError(
                    "InvalidAMIName.Duplicate",
                    f"AMI name {name} is already in use by AMI {image.id}",
                )
        image = _make(backend, region, instance, name, params)
    threading.Thread(
        target=_copy, args=(request.emulator.instances.machines, instance.id, image), daemon=True
    ).start()
    return request.answer({"ImageId": image.id})


def _make(backend: Any, region: str, instance: Any, name: str, params: dict[str, Any]) -> Any:
    from moto.ec2.models.amis import Ami
    from moto.ec2.utils import random_ami_id

    root = backend.amis.get(instance.image_id)
    root_device = root.root_device_name if root is not None else "/dev/sda1"
    size = next((d.size for d in instance.block_device_mapping.values() if d.size), None) or 8

    class Made(Ami):
        @property
        def block_device_mappings(self) -> list[dict[str, Any]]:
            return [
                {
                    "DeviceName": self.root_device_name,
                    "Ebs": {
                        "SnapshotId": self.ebs_snapshot.id,
                        "VolumeSize": size,
                        "DeleteOnTermination": True,
                        "VolumeType": "gp3",
                        "Encrypted": True,
                    },
                }
            ]

    image = Made(
        backend,
        random_ami_id(),
        instance=instance,
        name=name,
        description=str(params.get("Description") or ""),
        state="pending",
        hypervisor="xen",
        root_device_type="ebs",
        root_device_name=root_device,
        image_location=f"{backend.account_id}/{name}",
        region_name=f"{region}a",
        snapshot_description=f"Created by CreateImage({instance.id})",
    )
    image.architecture = root.architecture if root is not None else "x86_64"
    image.virtualization_type = "hvm"
    tags = tags_of(params.get("TagSpecifications"))
    image.add_tags(tags.get("image", {}))
    image.ebs_snapshot.add_tags(tags.get("snapshot", {}))
    image.ebs_snapshot.volume.size = size
    backend.amis[image.id] = image
    return image


def _copy(machines: Any, instance_id: str, image: Any) -> None:
    try:
        machines.keep_disk(instance_id, image.id)
    except FixtureError as error:
        print(f"image {image.id} was not made: {error}", flush=True)
        image.state = "failed"
    else:
        image.state = "available"


def deregister_image(request: Request) -> Answer:
    """Gone for launches at once; machines that boot from it go on, and its snapshot stays."""
    image_id = str(request.params.get("ImageId") or "")
    backend = backends.ec2(request.region)
    with request.emulator.instances.lock(request.region):
        image = backend.amis.get(image_id)
        if image is None:
            raise AwsError("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
        if image.owner_id != backend.account_id:
            raise AwsError("AuthFailure", f"Not authorized for images: [{image_id}]")
        del backend.amis[image_id]
        backend.deleted_amis.append(image_id)
    request.emulator.instances.machines.forget_disk(image_id)
    return request.answer({"Return": True})


def delete_snapshot(request: Request) -> Answer:
    """Refused while an image is made of it."""
    snapshot = str(request.params.get("SnapshotId") or "")
    backend = backends.ec2(request.region)
    with request.emulator.instances.lock(request.region):
        if snapshot not in backend.snapshots:
            raise AwsError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot}' does not exist.")
        for image in backend.amis.values():
            if image.ebs_snapshot.id == snapshot:
                raise AwsError(
                    "InvalidSnapshot.InUse",
                    f"The snapshot {snapshot} is currently in use by {image.id}",
                )
        backend.delete_snapshot(snapshot)
    return request.answer({})


HANDLERS = {
    "CreateImage": create_image,
    "DeregisterImage": deregister_image,
    "DeleteSnapshot": delete_snapshot,
}
