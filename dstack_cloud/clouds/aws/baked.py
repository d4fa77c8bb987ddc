"""Machine images of our own on AWS: an AMI and its snapshots, which carry our tags."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from dstack_cloud.clouds.aws.errors import code_of, translated
from dstack_cloud.clouds.aws.images import Image, recipe
from dstack_cloud.clouds.aws.names import BASE, CONTENTS, DRIVER, OWNER, STORE, as_aws, as_dict
from dstack_cloud.clouds.aws.sessions import Sessions
from dstack_cloud.clouds.base import Machine, MachineImage
from dstack_cloud.machine_images import READY, Baked, Base, Contents, base_of, newest
from dstack_cloud.resources import Offer
from dstack_cloud.units import GIB

_NO_DRIVER = "none"
_GONE = {"InvalidAMIID.NotFound", "InvalidAMIID.Unavailable", "InvalidAMIID.Malformed"}
# A snapshot counts as in use for a moment after its image went.
_IN_USE_S = (0.5, 2.0, 5.0)


class AwsImages:
    """The account's images that were baked here."""

    def __init__(self, sessions: Sessions, owner: str, store: str | None) -> None:
        self._sessions = sessions
        self._owner = owner
        self._store = store

    def base(self, offer: Offer) -> Base:
        """The stock image of an offer's machine."""
        return base_of(recipe(offer))

    def begin(self, machine: Machine, base: Base, contents: Contents, name: str) -> str:
        """Begin to make an image: EC2 restarts the machine for it, so that its disk is at rest."""
        from botocore.exceptions import ClientError

        ec2 = self._sessions.ec2(machine.region)
        tags = {
            OWNER: self._owner,
            "Name": f"dstack-cloud {name}",
            BASE: base.source,
            DRIVER: base.driver or _NO_DRIVER,
            **{f"{CONTENTS}{key}": value for key, value in contents.pairs().items()},
        }
        if self._store:
            tags[STORE] = self._store
        with translated("making the image", machine.region):
            try:
                answer = ec2.create_image(
                    InstanceId=machine.id,
                    Name=f"dstack-cloud-{name}",
                    Description="Baked by dstack-cloud images build",
                    TagSpecifications=[
                        {"ResourceType": kind, "Tags": as_aws(tags)}
                        for kind in ("image", "snapshot")
                    ],
                )
            except ClientError as error:
                # The answer to a call that was repeated got lost: the name is the machine's own.
                if code_of(error) != "InvalidAMIName.Duplicate":
                    raise
                answer = _own(ec2, [{"Name": "name", "Values": [f"dstack-cloud-{name}"]}])[0]
        return str(answer["ImageId"])

    def find(self, region: str, image_id: str) -> Baked | None:
        """One image of ours; None where there is none of that id."""
        ec2 = self._sessions.ec2(region)
        with translated("looking at the image", region):
            found = _own(ec2, [{"Name": "image-id", "Values": [image_id]}])
        return as_baked(found[0], region) if found else None

    def listing(self, region: str) -> list[Baked]:
        """Our images of a region, newest first."""
        return listing(self._sessions.ec2(region), region)

    def delete(self, image: Baked) -> None:
        """Deregister it, and delete its snapshots; harmless where they are gone already."""
        assert image.region is not None
        ec2 = self._sessions.ec2(image.region)
        with translated(f"deleting {image.id}", image.region):
            _but(_GONE, lambda: ec2.deregister_image(ImageId=image.id))
            for part in image.parts:
                _delete_snapshot(ec2, part)


def _delete_snapshot(ec2: Any, snapshot: str) -> None:
    from botocore.exceptions import ClientError

    waits = list(_IN_USE_S)
    while True:
        try:
            _but({"InvalidSnapshot.NotFound"}, lambda: ec2.delete_snapshot(SnapshotId=snapshot))
            return
        except ClientError as error:
            if code_of(error) != "InvalidSnapshot.InUse" or not waits:
                raise
            time.sleep(waits.pop(0))


def _but(harmless: set[str], call: Callable[[], Any]) -> None:
    from botocore.exceptions import ClientError

    try:
        call()
    except ClientError as error:
        if code_of(error) not in harmless:
            raise


def _own(ec2: Any, filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By the caller's own account alone: anybody may publish an image with our tags."""
    wanted = [{"Name": "tag-key", "Values": [BASE]}, *filters]
    images: list[dict[str, Any]] = ec2.describe_images(Owners=["self"], Filters=wanted)["Images"]
    return images


def listing(ec2: Any, region: str) -> list[Baked]:
    """Our images of a region, newest first."""
    with translated("listing the images", region):
        found = [as_baked(facts, region) for facts in _own(ec2, [])]
    return sorted(found, key=lambda image: image.made_at, reverse=True)


def replacements(ec2: Any, region: str) -> dict[Base, Image]:
    """The newest image for each base that has one, as a launch takes it."""
    with translated("listing the images", region):
        facts = {one["ImageId"]: one for one in _own(ec2, [])}
    chosen = newest(as_baked(one, region) for one in facts.values())
    return {
        base: Image(
            MachineImage(image.id, ready=True, driver=base.driver),
            facts[image.id]["RootDeviceName"],
            image.size,
        )
        for base, image in chosen.items()
    }


def as_baked(facts: dict[str, Any], region: str) -> Baked:
    """The image in EC2's description of it: pure."""
    tags = as_dict(facts.get("Tags"))
    driver = tags.get(DRIVER, _NO_DRIVER)
    disks = [one["Ebs"] for one in facts.get("BlockDeviceMappings", ()) if "Ebs" in one]
    told = "\n".join(
        f"{key.removeprefix(CONTENTS)}={value}"
        for key, value in tags.items()
        if key.startswith(CONTENTS)
    )
    state = facts.get("State", "")
    return Baked(
        cloud="aws",
        region=region,
        id=facts["ImageId"],
        name=facts.get("Name", ""),
        state=READY if state == "available" else state,
        made_at=_moment(facts.get("CreationDate", "")),
        size=max((int(disk.get("VolumeSize", 0)) for disk in disks), default=0) * GIB,
        base=Base(tags[BASE], None if driver == _NO_DRIVER else driver) if BASE in tags else None,
        contents=Contents.read(told),
        parts=tuple(disk["SnapshotId"] for disk in disks if disk.get("SnapshotId")),
    )


def _moment(text: str) -> datetime:
    """EC2 gives it as text: ``2026-11-24T20:31:00.000Z``."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else datetime.fromtimestamp(0, UTC)
