"""Machine images of our own on Google Cloud: global, found by a label, told by a description."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from dstack_cloud.clouds.base import Machine, MachineImage
from dstack_cloud.clouds.gcp.errors import translated
from dstack_cloud.clouds.gcp.images import Image, recipe
from dstack_cloud.clouds.gcp.machines import split_id
from dstack_cloud.clouds.gcp.names import OWNER, PREFIX, label
from dstack_cloud.clouds.gcp.sessions import Sessions
from dstack_cloud.errors import InternalError, TryAgainError
from dstack_cloud.machine_images import READY, Baked, Base, Contents, base_of, newest
from dstack_cloud.resources import Offer
from dstack_cloud.units import GIB

BASE = "dstack-cloud-base"
FAMILY = "dstack-cloud"
_GONE_S = 120.0


class GcpImages:
    """The project's images that were baked here."""

    def __init__(self, sessions: Sessions, owner: str) -> None:
        self._sessions = sessions
        self._owner = owner

    def base(self, offer: Offer) -> Base:
        """The stock image of an offer's machine."""
        return base_of(recipe(offer))

    def begin(self, machine: Machine, base: Base, contents: Contents, name: str) -> str:
        """Begin to make an image of the running machine's disk, which is at rest by then: nothing
        but what a restart repairs is under way. A machine that is stopped for it would stay where
        its client is killed."""
        place = split_id(machine.id)
        if place is None:
            raise InternalError(f"{machine.id} is no machine of Google Cloud")
        project, (zone, instance) = self._sessions.project(), place
        told = {"base": base.source, "driver": base.driver, "contents": contents.pairs()}
        with translated("making the image", machine.region):
            found = self._sessions.call(
                "compute", "GET", f"projects/{project}/zones/{zone}/instances/{instance}"
            )
            disk = next(one["source"] for one in found["disks"] if one.get("boot"))
            body = {
                "name": f"{PREFIX}{name}",
                "description": json.dumps(told),
                "family": FAMILY,
                "labels": {OWNER: label(self._owner), BASE: label(base.source)},
                "sourceDisk": disk,
            }
            path = f"projects/{project}/global/images"
            self._sessions.call("compute", "POST", path, body, forceCreate="true")
        return f"{PREFIX}{name}"

    def find(self, region: str, image_id: str) -> Baked | None:
        """One image of ours; None where there is none of that name."""
        return next((one for one in self.listing(region) if one.id == image_id), None)

    def listing(self, region: str) -> list[Baked]:
        """Our images, newest first: the same in every region."""
        found = [as_baked(one) for one in _own(self._sessions)]
        return sorted(found, key=lambda image: image.made_at, reverse=True)

    def delete(self, image: Baked) -> None:
        """Delete it, and see it gone; harmless where it is gone already."""
        from google.api_core import exceptions

        path = f"projects/{self._sessions.project()}/global/images/{image.id}"
        with translated(f"deleting {image.id}"):
            try:
                self._sessions.call("compute", "DELETE", path)
            except exceptions.NotFound:
                return
        until = time.monotonic() + _GONE_S
        while self.find("", image.id) is not None:
            if time.monotonic() > until:
                raise TryAgainError(f"{image.id} is not gone yet", "dstack-cloud images list")
            time.sleep(0.3)


def _own(sessions: Sessions) -> list[dict[str, Any]]:
    path = f"projects/{sessions.project()}/global/images"
    with translated("listing the images"):
        found = sessions.call("compute", "GET", path, filter=f"labels.{BASE}:*")
    return list(found.get("items", ()))


def replacements(sessions: Sessions) -> dict[Base, Image]:
    """The newest image for each base that has one, as a launch takes it."""
    project = sessions.project()
    chosen = newest(as_baked(one) for one in _own(sessions))
    return {
        base: Image(
            MachineImage(f"projects/{project}/global/images/{one.id}", True, driver=base.driver),
            one.size,
        )
        for base, one in chosen.items()
    }


def as_baked(facts: dict[str, Any]) -> Baked:
    """The image in Compute Engine's description of it: pure. Its own description is ours, or
    somebody has changed it: then nothing is known of it."""
    try:
        told = json.loads(facts.get("description", ""))
        base = Base(str(told["base"]), told["driver"])
        pairs = dict(told["contents"])
    except (ValueError, KeyError, TypeError):
        base, pairs = None, {}
    status = str(facts.get("status", ""))
    return Baked(
        cloud="gcp",
        region=None,
        id=facts["name"],
        name=facts["name"],
        state=READY if status == "READY" else status.lower(),
        made_at=datetime.fromisoformat(facts["creationTimestamp"]).astimezone(UTC),
        size=int(facts.get("diskSizeGb", 0)) * GIB,
        base=base,
        contents=Contents.read("\n".join(f"{key}={value}" for key, value in pairs.items())),
    )
