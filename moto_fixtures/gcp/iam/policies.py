"""Allow policies of resources: read, written with an etag, evaluated with their conditions."""

from __future__ import annotations

import copy
import hashlib
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from moto_fixtures.gcp.call import GcpError
from moto_fixtures.gcp.iam import conditions
from moto_fixtures.gcp.iam.roles import Roles
from moto_fixtures.gcp.project import NUMBER, PROJECT, fingerprint

Policy = dict[str, Any]
BucketPolicy = Callable[[str], Policy | None]
"""A bucket's name to its policy, or None where this project has no such bucket."""

# How a resource's name tells its type: cloud.google.com/iam/docs/conditions-resource-attributes.
_TYPES = {
    "instances": "compute.googleapis.com/Instance",
    "disks": "compute.googleapis.com/Disk",
    "firewalls": "compute.googleapis.com/Firewall",
    "images": "compute.googleapis.com/Image",
    "buckets": "storage.googleapis.com/Bucket",
    "objects": "storage.googleapis.com/Object",
    "secrets": "secretmanager.googleapis.com/Secret",
    "versions": "secretmanager.googleapis.com/SecretVersion",
    "serviceAccounts": "iam.googleapis.com/ServiceAccount",
}


class Policies:
    """Of the project and of its service accounts; those of buckets are their own service's."""

    def __init__(self, roles: Roles, now: Callable[[], datetime]) -> None:
        self._roles = roles
        self._now = now
        self._lock = threading.Lock()
        self._kept: dict[str, Policy] = {}
        self.bucket_policy: BucketPolicy = lambda _: None

    def get(self, resource: str, version: int = 1) -> Policy:
        """As getIamPolicy answers: below version 3, roles of conditional bindings are disguised."""
        with self._lock:
            policy = copy.deepcopy(self._kept.get(resource) or _empty())
        if version < 3:
            for binding in policy.get("bindings", []):
                condition = binding.pop("condition", None)
                if condition is not None:
                    digest = hashlib.sha256(str(condition).encode()).hexdigest()[:20]
                    binding["role"] += f"_withcond_{digest}"
            policy["version"] = 1
        return policy

    def set(self, resource: str, policy: Policy) -> Policy:
        """As setIamPolicy: a policy that was changed meanwhile is refused by its etag."""
        bindings = policy.get("bindings") or []
        for binding in bindings:
            self._check(binding, int(policy.get("version") or 1))
        conditional = any("condition" in b for b in bindings)
        with self._lock:
            current = self._kept.get(resource) or _empty()
            if policy.get("etag") and policy["etag"] != current["etag"]:
                raise GcpError(
                    409,
                    "aborted",
                    "There were concurrent policy changes. Please retry the whole "
                    "read-modify-write with exponential backoff.",
                )
            self._kept[resource] = {
                "version": 3 if conditional else 1,
                "etag": fingerprint(),
                "bindings": [copy.deepcopy(b) for b in bindings if b.get("members")],
            }
            return copy.deepcopy(self._kept[resource])

    def allows(self, email: str, permission: str, resource: str) -> bool:
        """Whether any binding on the resource, or on what it is in, grants the permission."""
        attributes: dict[str, conditions.Value] = {
            "resource.name": resource,
            "resource.type": _type_of(resource),
            "resource.service": _type_of(resource).partition("/")[0],
            "request.time": self._now(),
        }
        members = {f"serviceAccount:{email}", f"user:{email}", "allUsers", "allAuthenticatedUsers"}
        for policy in self._above(resource):
            for binding in policy.get("bindings", []):
                if not members.intersection(binding.get("members", [])):
                    continue
                if not self._roles.grants(binding["role"], permission):
                    continue
                condition = binding.get("condition")
                if condition is None or conditions.holds(condition["expression"], attributes):
                    return True
        return False

    def _above(self, resource: str) -> Iterator[Policy]:
        """The policies that bear on a resource."""
        parts = resource.split("/")
        if parts[:2] == ["projects", str(NUMBER)]:
            parts[1] = PROJECT
        with self._lock:
            kept = dict(self._kept)
        if parts[:3:2] == ["projects", "buckets"] and len(parts) > 3:
            policy = self.bucket_policy(parts[3])
            if policy is None:
                return
            yield policy
            yield kept.get(f"projects/{PROJECT}") or {}
            return
        if parts[2:3] == ["serviceAccounts"]:
            yield kept.get(resource) or {}
        yield kept.get("/".join(parts[:2])) or {}

    def _check(self, binding: dict[str, Any], version: int) -> None:
        role = binding.get("role", "")
        if "_withcond_" in role or not self._roles.exists(role):
            raise GcpError(400, "invalid", f"Role {role} is not supported for this resource.")
        condition = binding.get("condition")
        if condition is None:
            return
        if version < 3:
            raise GcpError(
                400,
                "invalid",
                "The policy has conditional role bindings: set its version to 3.",
            )
        conditions.check(condition.get("expression", ""))


def _empty() -> Policy:
    # What the real service answers for a policy that was never set.
    return {"version": 1, "etag": "ACAB"}


def _type_of(resource: str) -> str:
    parts = resource.split("/")
    for part in reversed(parts[2::2]):
        if part in _TYPES:
            return _TYPES[part]
    if len(parts) > 2 and parts[2] in ("zones", "regions", "global"):
        for part in parts[2:]:
            if part in _TYPES:
                return _TYPES[part]
    return "cloudresourcemanager.googleapis.com/Project"
