"""Resource policies, of which compact placement alone is here: made, told, deleted, and held to.

Machines are not near each other for it: they are all on one host anyway.
"""

from __future__ import annotations

import threading
from typing import Any

from moto_fixtures.gcp.call import GcpError
from moto_fixtures.gcp.compute.spec import Asked, check_name, invalid
from moto_fixtures.gcp.project import PROJECT, link, new_id, not_found

Item = dict[str, Any]
# cloud.google.com/compute/docs/instances/placement-policies-overview#restrictions
_SERIES = ("a2", "a3", "a4", "c2", "c2d", "c3", "c3d", "c4", "c4d", "g2", "h3", "n2", "n2d")


def policy_path(region: str, name: str) -> str:
    return f"projects/{PROJECT}/regions/{region}/resourcePolicies/{name}"


class ResourcePolicies:
    """The project's policies by their path."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, Item] = {}

    def create(self, region: str, policy: Item, now: str) -> Item:
        check_name("name", str(policy.get("name", "")))
        placement = policy.get("groupPlacementPolicy")
        if placement is None or placement.get("collocation") != "COLLOCATED":
            raise GcpError(501, "notImplemented", "the emulated policies are compact placement's")
        path = policy_path(region, policy["name"])
        item = {
            **policy,
            "kind": "compute#resourcePolicy",
            "id": new_id(),
            "creationTimestamp": now,
            "region": link(f"projects/{PROJECT}/regions/{region}"),
            "status": "READY",
            "selfLink": link(path),
        }
        with self._lock:
            if path in self._kept:
                raise GcpError(409, "alreadyExists", f"The resource '{path}' already exists")
            self._kept[path] = item
        return item

    def get(self, region: str, name: str) -> Item:
        path = policy_path(region, name)
        with self._lock:
            if path not in self._kept:
                raise not_found(path)
            return dict(self._kept[path])

    def remove(self, region: str, name: str) -> None:
        with self._lock:
            self._kept.pop(policy_path(region, name), None)

    def listing(self, region: str) -> list[Item]:
        prefix = policy_path(region, "")
        with self._lock:
            return [
                dict(item) for path, item in sorted(self._kept.items()) if path.startswith(prefix)
            ]

    def check(self, asked: Asked, region: str) -> None:
        """Refuse a launch that its policy is not for."""
        names = asked.properties.get("resourcePolicies") or []
        if not names:
            return
        if len(names) > 1:
            raise invalid("resourcePolicies", len(names), "At most one resource policy.")
        if "/" in names[0]:
            raise invalid("instanceProperties.resourcePolicies", names[0], "A name, not a URL.")
        self.get(region, names[0])
        for choice in asked.choices:
            if choice.shape.name.split("-", 1)[0] not in _SERIES:
                words = f"Placement policy is not applicable to machine type {choice.shape.name}."
                raise GcpError(400, "invalid", words)
        maintenance = asked.scheduling.get("onHostMaintenance")
        if maintenance == "MIGRATE":
            raise invalid("scheduling.onHostMaintenance", maintenance, "Must be TERMINATE.")
