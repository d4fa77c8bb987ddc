"""Roles: what Google has defined, in the part that matters here, and the project's own.

https://cloud.google.com/iam/docs/roles-permissions lists the permissions of each; here they are
patterns, wider or narrower than the real ones where nothing here asks for the difference.
"""

from __future__ import annotations

import re
import threading
from fnmatch import fnmatchcase
from typing import Any

from moto_fixtures.gcp.call import GcpError
from moto_fixtures.gcp.project import PROJECT, fingerprint

PREDEFINED: dict[str, tuple[str, ...]] = {
    "roles/owner": ("*",),
    "roles/editor": (
        "compute.*",
        "serviceusage.*",
        "iam.serviceAccounts.actAs",
        "iam.serviceAccounts.get",
        "iam.serviceAccounts.list",
        "iam.serviceAccounts.create",
        "resourcemanager.projects.get",
        "storage.buckets.create",
        "storage.buckets.delete",
        "storage.buckets.list",
    ),
    "roles/viewer": ("*.get", "*.list", "storage.buckets.list"),
    "roles/browser": ("resourcemanager.projects.get", "resourcemanager.projects.getIamPolicy"),
    "roles/compute.admin": ("compute.*", "resourcemanager.projects.get", "serviceusage.services.*"),
    "roles/compute.instanceAdmin.v1": (
        "compute.instances.*",
        "compute.disks.*",
        "compute.images.get*",
        "compute.images.list",
        "compute.images.useReadOnly",
        "compute.*Operations.*",
        "compute.*.get",
        "compute.*.list",
        "compute.subnetworks.use",
        "compute.subnetworks.useExternalIp",
        "compute.networks.use",
        "resourcemanager.projects.get",
    ),
    "roles/compute.securityAdmin": ("compute.firewalls.*", "compute.networks.*"),
    "roles/compute.viewer": ("compute.*.get", "compute.*.list"),
    "roles/iam.roleAdmin": ("iam.roles.*", "resourcemanager.projects.get"),
    "roles/iam.serviceAccountAdmin": ("iam.serviceAccounts.*",),
    "roles/iam.serviceAccountUser": (
        "iam.serviceAccounts.actAs",
        "iam.serviceAccounts.get",
        "iam.serviceAccounts.list",
    ),
    "roles/iam.serviceAccountTokenCreator": (
        "iam.serviceAccounts.getAccessToken",
        "iam.serviceAccounts.get",
        "iam.serviceAccounts.list",
    ),
    "roles/artifactregistry.reader": ("artifactregistry.repositories.downloadArtifacts",),
    "roles/resourcemanager.projectIamAdmin": ("resourcemanager.projects.*",),
    "roles/serviceusage.serviceUsageAdmin": ("serviceusage.*",),
    "roles/serviceusage.serviceUsageConsumer": (
        "serviceusage.services.get",
        "serviceusage.services.list",
        "serviceusage.services.use",
    ),
    "roles/storage.admin": ("storage.*", "resourcemanager.projects.get"),
    "roles/storage.objectAdmin": ("storage.objects.*", "storage.multipartUploads.*"),
    "roles/storage.objectUser": ("storage.objects.*", "storage.multipartUploads.*"),
    "roles/storage.objectViewer": ("storage.objects.get", "storage.objects.list"),
    "roles/storage.objectCreator": ("storage.objects.create", "storage.multipartUploads.create"),
    "roles/storage.legacyBucketOwner": ("storage.buckets.*", "storage.objects.*"),
    "roles/storage.legacyBucketReader": ("storage.buckets.get", "storage.objects.list"),
    "roles/storage.legacyObjectReader": ("storage.objects.get",),
}
# https://cloud.google.com/iam/docs/reference/rest/v1/organizations.roles/create
_ID = re.compile(r"[a-zA-Z0-9_.]{3,64}")
_PERMISSION = re.compile(r"[a-z][a-zA-Z0-9-]*(?:\.[a-zA-Z][a-zA-Z0-9]*){2}")


class Roles:
    """Predefined ones, and those of the project."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own: dict[str, dict[str, Any]] = {}

    def grants(self, role: str, permission: str) -> bool:
        """Whether a role includes a permission."""
        patterns = PREDEFINED.get(role)
        if patterns is not None:
            return any(fnmatchcase(permission, pattern) for pattern in patterns)
        with self._lock:
            own = self._own.get(role)
            return bool(own and not own.get("deleted") and permission in own["includedPermissions"])

    def exists(self, role: str) -> bool:
        with self._lock:
            return role in PREDEFINED or role in self._own

    def create(self, role_id: str, role: dict[str, Any]) -> dict[str, Any]:
        if not _ID.fullmatch(role_id):
            raise GcpError(400, "invalid", f"The role ID {role_id!r} is invalid.")
        name = f"projects/{PROJECT}/roles/{role_id}"
        with self._lock:
            if name in self._own:
                raise GcpError(
                    409,
                    "alreadyExists",
                    f"A role named {role_id} in projects/{PROJECT} already exists.",
                )
            self._own[name] = self._checked({"stage": "GA", **role, "name": name})
            return dict(self._own[name])

    def patch(self, name: str, role: dict[str, Any], mask: list[str]) -> dict[str, Any]:
        """Change the fields that ``mask`` names; without one, those that are given."""
        self.get(name)
        with self._lock:
            asked = {k: v for k, v in role.items() if k in (mask or role) and k != "etag"}
            self._own[name] = self._checked({**self._own[name], **asked})
            return dict(self._own[name])

    def get(self, name: str) -> dict[str, Any]:
        with self._lock:
            if name in self._own:
                return dict(self._own[name])
        if name in PREDEFINED:
            return {"name": name, "title": name.removeprefix("roles/"), "stage": "GA"}
        raise GcpError(404, "notFound", f"The role named {name} was not found.")

    def set_deleted(self, name: str, deleted: bool) -> dict[str, Any]:
        """A deleted role grants nothing; for a week it can be brought back."""
        self.get(name)
        with self._lock:
            self._own[name]["deleted"] = deleted
            return dict(self._own[name])

    def listing(self) -> list[dict[str, Any]]:
        with self._lock:
            return [dict(r) for r in self._own.values() if not r.get("deleted")]

    @staticmethod
    def _checked(role: dict[str, Any]) -> dict[str, Any]:
        permissions = role.get("includedPermissions") or []
        for permission in permissions:
            if not _PERMISSION.fullmatch(permission):
                raise GcpError(400, "invalid", f"Permission {permission} is not valid.")
        return {**role, "includedPermissions": permissions, "etag": fingerprint()}
