"""Secret Manager: global secrets and their versions.

Rules that the schema does not have are from the methods' reference pages
(cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets) and its quotas
(…/docs/quotas); the words of errors are users' reports.
"""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from moto_fixtures.gcp.call import GcpError
from moto_fixtures.gcp.catalog.places import REGIONS
from moto_fixtures.gcp.project import NUMBER, fingerprint
from moto_fixtures.gcp.request import Request

Item = dict[str, Any]
HOME = f"projects/{NUMBER}/secrets"
_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}"), re.compile(r"[a-z0-9_-]{0,63}")
_LARGEST = 64 * 1024
# How many a page has where nobody says.
_PAGE = 20


@dataclass
class Kept:
    """A secret, its versions in the order in which they were added, and their payloads."""

    resource: Item
    versions: list[Item] = field(default_factory=list)
    payloads: dict[str, str] = field(default_factory=dict, repr=False)


class Secrets:
    """The project's, by id."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.kept: dict[str, Kept] = {}

    def find(self, secret: str) -> Kept:
        if secret not in self.kept:
            raise _not_found(f"{HOME}/{secret}")
        return self.kept[secret]

    def version(self, secret: str, version: str) -> tuple[Kept, Item]:
        """A version by its number, or the one that was added last as ``latest``."""
        kept = self.find(secret)
        number = str(len(kept.versions)) if version == "latest" else version
        for one in kept.versions:
            if one["name"].endswith(f"/{number}"):
                return kept, one
        raise _not_found(f"{HOME}/{secret}/versions/{version}")


def create(request: Request) -> Item:
    secret, body = request.call.query.get("secretId", ""), request.call.body or {}
    if not _ID.fullmatch(secret):
        raise _invalid("The provided Secret ID does not match the expected format.")
    for key, value in (body.get("labels") or {}).items():
        if not (_LABEL[0].fullmatch(key) and _LABEL[1].fullmatch(value)):
            raise _invalid(f"Invalid label: {key}: {value}")
    replication = body.get("replication") or {}
    if len(replication) != 1:
        raise _invalid("The replication policy must be automatic or user-managed.")
    replicas = (replication.get("userManaged") or {}).get("replicas") or []
    if "userManaged" in replication and not replicas:
        raise _invalid("A user-managed replication policy must name locations.")
    for replica in replicas:
        if replica.get("location") not in REGIONS:
            raise _invalid(f"Location {replica.get('location')} is not valid.")
    own = request.emulator.secrets
    with own.lock:
        if secret in own.kept:
            raise GcpError(409, "alreadyExists", f"Secret [{HOME}/{secret}] already exists.")
        resource = {
            "name": f"{HOME}/{secret}",
            "createTime": request.now,
            "etag": f'"{fingerprint()}"',
            "replication": replication,
            **({"labels": body["labels"]} if body.get("labels") else {}),
        }
        own.kept[secret] = Kept(resource)
        return resource


def get(request: Request) -> Item:
    with request.emulator.secrets.lock:
        return request.emulator.secrets.find(_secret(request)).resource


def list_secrets(request: Request) -> Item:
    own = request.emulator.secrets
    with own.lock:
        found = [one.resource for one in reversed(own.kept.values())]
    wanted = request.call.query.get("filter", "")
    if wanted:
        key, _, text = wanted.partition(":")
        if key != "name" or not re.fullmatch(r"[\w-]+", text):
            raise _invalid(f"Invalid filter here: {wanted}")
        found = [one for one in found if text in one["name"]]
    return _paged(request, "secrets", found, bool(wanted))


def delete(request: Request) -> Item:
    own = request.emulator.secrets
    with own.lock:
        own.find(_secret(request))
        del own.kept[_secret(request)]
    return {}


def test(request: Request) -> Item:
    """Of a secret that is not there: none, and no error."""
    asked = list((request.call.body or {}).get("permissions") or [])
    own = request.emulator.secrets
    with own.lock:
        there = _secret(request) in own.kept
    name = f"{HOME}/{_secret(request)}"
    held = [one for one in asked if there and request.call.caller.may(one, name)]
    return {"permissions": held} if held else {}


def add_version(request: Request) -> Item:
    data = str(((request.call.body or {}).get("payload") or {}).get("data") or "")
    if not data:
        raise _invalid("The payload must not be empty.")
    if len(base64.b64decode(data)) > _LARGEST:
        raise _invalid(f"The payload is larger than {_LARGEST} bytes.")
    own = request.emulator.secrets
    with own.lock:
        kept = own.find(_secret(request))
        version = {
            "name": f"{kept.resource['name']}/versions/{len(kept.versions) + 1}",
            "createTime": request.now,
            "state": "ENABLED",
            "etag": f'"{fingerprint()}"',
        }
        kept.versions.append(version)
        kept.payloads[version["name"]] = data
        return dict(version)


def get_version(request: Request) -> Item:
    own = request.emulator.secrets
    with own.lock:
        return dict(own.version(_secret(request), _version(request))[1])


def list_versions(request: Request) -> Item:
    own = request.emulator.secrets
    with own.lock:
        found = [dict(one) for one in reversed(own.find(_secret(request)).versions)]
    if request.call.query.get("filter"):
        raise _invalid("Versions cannot be filtered here.")
    return _paged(request, "versions", found, False)


def access(request: Request) -> Item:
    own = request.emulator.secrets
    with own.lock:
        kept, version = own.version(_secret(request), _version(request))
        if version["state"] != "ENABLED":
            raise GcpError(
                400,
                "failedPrecondition",
                f"Secret Version [{version['name']}] is in {version['state']} state.",
            )
        return {"name": version["name"], "payload": {"data": kept.payloads[version["name"]]}}


def destroy(request: Request) -> Item:
    own = request.emulator.secrets
    with own.lock:
        kept, version = own.version(_secret(request), _version(request))
        if version["state"] == "DESTROYED":
            raise GcpError(
                400, "failedPrecondition", f"{version['name']} is already in DESTROYED state."
            )
        version |= {"state": "DESTROYED", "destroyTime": request.now}
        kept.payloads.pop(version["name"])
        return dict(version)


def disable(request: Request) -> Item:
    own = request.emulator.secrets
    with own.lock:
        _, version = own.version(_secret(request), _version(request))
        version["state"] = "DISABLED"
        return dict(version)


def _paged(request: Request, key: str, found: list[Item], filtered: bool) -> Item:
    query = request.call.query
    size, token = int(query.get("pageSize") or 0) or _PAGE, query.get("pageToken") or "0"
    if size < 0 or not token.isdigit():
        raise _invalid("Invalid page size or token.")
    start, end = int(token), int(token) + size
    answer: Item = {"totalSize": 0 if filtered else len(found)}
    if found[start:end]:
        answer[key] = found[start:end]
    if len(found) > end:
        answer["nextPageToken"] = str(end)
    return answer


def _secret(request: Request) -> str:
    return request.call.params["secretsId"]


def _version(request: Request) -> str:
    return request.call.params["versionsId"]


def _invalid(message: str) -> GcpError:
    return GcpError(400, "invalid", message)


def _not_found(name: str) -> GcpError:
    return GcpError(404, "notFound", f"Secret [{name}] not found or has no versions.")


_SECRETS = "secretmanager.projects.secrets"
HANDLERS: dict[str, Callable[[Request], Item]] = {
    f"{_SECRETS}.create": create,
    f"{_SECRETS}.get": get,
    f"{_SECRETS}.list": list_secrets,
    f"{_SECRETS}.delete": delete,
    f"{_SECRETS}.testIamPermissions": test,
    f"{_SECRETS}.addVersion": add_version,
    f"{_SECRETS}.versions.get": get_version,
    f"{_SECRETS}.versions.list": list_versions,
    f"{_SECRETS}.versions.access": access,
    f"{_SECRETS}.versions.destroy": destroy,
    f"{_SECRETS}.versions.disable": disable,
}
