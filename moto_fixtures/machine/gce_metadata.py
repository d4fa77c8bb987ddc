"""What Compute Engine's metadata server says: a tree, and how parts of it are written. Pure.

Keys and formats after Google's pages "About VM metadata", "View and query VM metadata",
"Predefined metadata keys" and "Query metadata server for maintenance event notices".
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from moto_fixtures.machine.base import GceFacts
from moto_fixtures.machine.served import Served

HOST = "metadata.google.internal"
# Below these, names are the user's own: they stay as they are in JSON.
_GIVEN = ("attributes", "guest-attributes")


def facts(machine: Served) -> GceFacts:
    """What Compute Engine alone tells a machine."""
    assert isinstance(machine.spec.facts, GceFacts)
    return machine.spec.facts


def user_data(attributes: Mapping[str, str]) -> bytes:
    """What cloud-init takes for the user data of an instance with these metadata items."""
    text = attributes.get("user-data", "")
    if attributes.get("user-data-encoding") == "base64":
        return base64.b64decode(text)
    return text.encode()


def notice_paths(action: str) -> dict[str, str]:
    """What appears in the metadata when ``action`` is announced: ``preempted``, or the text of
    ``maintenance-event``."""
    if action == "preempted":
        return {"instance/preempted": "TRUE"}
    return {"instance/maintenance-event": action}


def tree(machine: Served) -> dict[str, Any]:
    """Everything below the version: directories are dicts and lists of dicts, values text, numbers
    or lists of text. Tokens apart: they are no part of any listing but by their name."""
    spec, told = machine.spec, facts(machine)
    project = f"projects/{told.project_number}"
    account = {
        "aliases": ["default"],
        "email": told.service_account,
        "scopes": list(told.scopes),
    }
    accounts = {} if told.service_account is None else {"default": account}
    if told.service_account is not None:
        accounts[told.service_account] = account
    access: list[dict[str, Any]] = []
    if spec.public_ip:
        access = [{"external-ip": machine.address, "type": "ONE_TO_ONE_NAT"}]
    interface = {
        "access-configs": access,
        "dns-servers": ["169.254.169.254"],
        "ip": machine.address,
        "mac": "02:42:" + ":".join(f"{int(part):02x}" for part in machine.address.split(".")),
        "mtu": 1460,
        "network": f"{project}/networks/{told.network}",
    }
    instance: dict[str, Any] = {
        "attributes": dict(told.attributes),
        "cpu-platform": "Intel Broadwell",
        "description": "",
        "guest-attributes": _guest_attributes(machine),
        "hostname": f"{told.name}.{spec.zone}.c.{told.project}.internal",
        "id": int(spec.id),
        "image": spec.image,
        "machine-type": f"{project}/machineTypes/{spec.instance_type}",
        "maintenance-event": "NONE",
        "name": told.name,
        "network-interfaces": [interface],
        "preempted": "FALSE",
        "scheduling": {
            "automatic-restart": str(told.automatic_restart).upper(),
            "on-host-maintenance": told.on_host_maintenance,
            "preemptible": str(spec.spot).upper(),
        },
        "service-accounts": accounts,
        "tags": list(told.tags),
        "zone": f"{project}/zones/{spec.zone}",
    }
    for path, text in machine.notices.items():
        instance[path.removeprefix("instance/")] = text
    return {
        "instance": instance,
        "project": {
            "attributes": dict(told.project_attributes),
            "numeric-project-id": told.project_number,
            "project-id": told.project,
        },
    }


def _guest_attributes(machine: Served) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for path, text in machine.guest_attributes.items():
        namespace, _, key = path.partition("/")
        found.setdefault(namespace, {})[key] = text
    return found


def at(root: Any, path: str) -> Any:
    """The part of the tree at a path, None where there is nothing."""
    for name in path.strip("/").split("/") if path.strip("/") else []:
        if isinstance(root, dict) and name in root:
            root = root[name]
        elif _is_directory(root) and isinstance(root, list) and name.isdigit():
            if int(name) >= len(root):
                return None
            root = root[int(name)]
        else:
            return None
    return root


def is_directory(part: Any, path: str) -> bool:
    """A list of values is one value; a list that may hold directories is one itself."""
    return _is_directory(part) or path.endswith(("network-interfaces", "access-configs"))


def _is_directory(part: Any) -> bool:
    return isinstance(part, dict) or (isinstance(part, list) and any(map(_is_directory, part)))


def listing(part: Any, path: str) -> str:
    """The entries of a directory, one a line, subdirectories with a slash. A service account's
    directory names its token, too."""
    entries = part.items() if isinstance(part, dict) else enumerate(part)
    names = [f"{name}/" if is_directory(below, str(name)) else str(name) for name, below in entries]
    if "/service-accounts/" in f"/{path}/" and isinstance(part, dict) and "email" in part:
        names.append("token")
    return "".join(f"{name}\n" for name in sorted(names))


def text(value: Any, path: str) -> str:
    """One value as plain text."""
    if isinstance(value, list):
        # Most lists are lines; tags are JSON in either form.
        return (
            json.dumps(value) if path.endswith("tags") else "".join(f"{each}\n" for each in value)
        )
    return str(value)


def lines(part: Any, path: str) -> str:
    """``recursive=true&alt=text``: a path and its value on each line."""
    if not is_directory(part, path):
        return f"{path} {text(part, path)}\n"
    entries = part.items() if isinstance(part, dict) else enumerate(part)
    return "".join(lines(below, f"{path}/{name}".lstrip("/")) for name, below in entries)


def as_json(part: Any, *, given: bool = False) -> Any:
    """The same with the names as JSON has them: camelCase, but for what users named."""
    if isinstance(part, dict):
        return {
            name if given else _camel(name): as_json(below, given=given or name in _GIVEN)
            for name, below in part.items()
        }
    if isinstance(part, list):
        return [as_json(each, given=given) for each in part]
    return part


def _camel(name: str) -> str:
    first, *rest = name.split("-")
    return first + "".join(word.capitalize() for word in rest) if "@" not in name else name


def etag(body: bytes) -> str:
    """Another text, another tag."""
    return hashlib.sha256(body).hexdigest()[:16]
