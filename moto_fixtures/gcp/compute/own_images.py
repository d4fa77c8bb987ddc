"""Images of the project's own: a disk is copied, and machines really boot the copy."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from moto_fixtures.gcp.call import GcpError
from moto_fixtures.gcp.compute import images
from moto_fixtures.gcp.compute.listing import listed
from moto_fixtures.gcp.operations import Operation, OperationFailed, Place
from moto_fixtures.gcp.project import PROJECT, link, new_id, not_found
from moto_fixtures.gcp.request import Request
from moto_fixtures.machine.shell import FixtureError

_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class OwnImage(images.Image):
    """``item`` is what the API shows."""

    item: dict[str, Any] = field(default_factory=dict)

    def resource(self) -> dict[str, Any]:
        return dict(self.item)


def insert(request: Request) -> dict[str, Any]:
    """``PENDING`` until the disk is copied. A disk in use only with ``forceCreate``: the machine is
    paused meanwhile."""
    call = request.call
    body = call.body or {}
    name = str(body.get("name") or "")
    if not _NAME.fullmatch(name):
        raise GcpError(400, "invalid", f"Invalid value for field 'resource.name': '{name}'.")
    path = f"projects/{PROJECT}/global/images/{name}"
    if path in images.OWN:
        raise GcpError(409, "alreadyExists", f"The resource '{path}' already exists")
    disk_path = "projects/" + str(body.get("sourceDisk") or "").split("projects/")[-1]
    disk = request.emulator.disks.get(disk_path)
    users = disk.get("users") or []
    if users and call.query.get("forceCreate") != "true":
        raise GcpError(
            400,
            "resourceInUseByAnotherResource",
            f"The disk resource '{disk_path}' is already being used by '{users[0]}'",
        )
    size = int(disk.get("sizeGb") or 10)
    item = {
        "kind": "compute#image",
        "id": new_id(),
        "creationTimestamp": request.now,
        "name": name,
        "status": "PENDING",
        "sourceType": "RAW",
        "architecture": "X86_64",
        "archiveSizeBytes": str(size * 10**8),
        "diskSizeGb": str(size),
        "labelFingerprint": "42WmSpB8rSM=",
        "sourceDisk": link(disk_path),
        "sourceDiskId": disk["id"],
        "selfLink": link(path),
        "storageLocations": ["us"],
        "guestOsFeatures": [{"type": feature} for feature in images.FEATURES],
        "licenses": list(disk.get("licenses") or []),
        **{key: body[key] for key in ("description", "family", "labels") if body.get(key)},
    }
    images.OWN[path] = OwnImage(
        PROJECT, str(body.get("family") or ""), name, item["id"], size, item=item
    )

    def work(operation: Operation) -> None:
        instances = request.emulator.instances
        try:
            for url in users:
                zone, _, instance = url.split("/zones/")[-1].partition("/instances/")
                instances.machines.keep_disk(instances.find(zone, instance).id, path)
            item["status"] = "READY"
        except FixtureError as error:
            item["status"] = "FAILED"
            problem = {"code": "INTERNAL_ERROR", "message": str(error)}
            raise OperationFailed([problem], 500, "INTERNAL SERVER ERROR") from error

    place = Place(call.params["project"], "global")
    return request.begin(place, "insert", path, item["id"], work)


def own(request: Request) -> dict[str, Any]:
    """``compute.images.list`` of the project."""
    return listed(request.call, "image", [one.resource() for one in images.OWN.values()])


def delete(request: Request) -> dict[str, Any]:
    """Machines that boot from it go on."""
    path = f"projects/{PROJECT}/global/images/{request.call.params['image']}"
    image = images.OWN.get(path)
    if image is None:
        raise not_found(path)

    def work(operation: Operation) -> None:
        images.OWN.pop(path, None)
        request.emulator.instances.machines.forget_disk(path)

    place = Place(request.call.params["project"], "global")
    return request.begin(place, "delete", path, image.number, work)


HANDLERS = {
    "compute.images.insert": insert,
    "compute.images.list": own,
    "compute.images.delete": delete,
}
