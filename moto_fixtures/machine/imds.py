"""What the instance metadata service says: paths and their texts. Pure.

Paths and formats after Amazon's "Instance metadata categories" and "Spot Instance interruption
notices" pages of the EC2 user guide.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from moto_fixtures.machine.base import Ec2Facts
from moto_fixtures.machine.served import Served, rfc3339

_META = "meta-data/"
_ROLE = _META + "iam/security-credentials/"


def facts(machine: Served) -> Ec2Facts:
    """What EC2 alone tells a machine."""
    assert isinstance(machine.spec.facts, Ec2Facts)
    return machine.spec.facts


def mac_of(address: str) -> str:
    """The hardware address that Docker derives from an IPv4 address."""
    return "02:42:" + ":".join(f"{int(part):02x}" for part in address.split("."))


def notice_paths(action: str, at: datetime) -> dict[str, str]:
    """What appears in the metadata when ``action`` is announced for ``at``."""
    when = rfc3339(at)
    if action == "rebalance":
        text = json.dumps({"noticeTime": when})
        return {_META + "events/recommendations/rebalance": text}
    paths = {_META + "spot/instance-action": json.dumps({"action": action, "time": when})}
    if action == "terminate":
        paths[_META + "spot/termination-time"] = when
    return paths


def leaves(machine: Served) -> dict[str, str]:
    """Every path below the version, with its text; credentials apart (see role_path)."""
    spec, address = machine.spec, machine.address
    name = f"ip-{address.replace('.', '-')}.ec2.internal"
    mac = mac_of(address)
    interface = f"network/interfaces/macs/{mac}/"
    meta = {
        "ami-id": spec.image,
        "ami-launch-index": "0",
        "hostname": name,
        "instance-action": "none",
        "instance-id": spec.id,
        "instance-life-cycle": "spot" if spec.spot else "on-demand",
        "instance-type": spec.instance_type,
        "local-hostname": name,
        "local-ipv4": address,
        "mac": mac,
        interface + "device-number": "0",
        interface + "local-ipv4s": address,
        interface + "mac": mac,
        "placement/availability-zone": spec.zone,
        "placement/region": spec.region,
        "services/domain": "amazonaws.com",
    }
    if spec.public_ip:
        meta["public-ipv4"] = address
    if facts(machine).role is not None:
        meta["iam/info"] = json.dumps({"Code": "Success", "LastUpdated": rfc3339(machine.launched)})
    document = {
        "instanceId": spec.id,
        "instanceType": spec.instance_type,
        "imageId": spec.image,
        "region": spec.region,
        "availabilityZone": spec.zone,
        "privateIp": address,
        "architecture": "x86_64",
        "pendingTime": rfc3339(machine.launched),
        "version": "2017-09-30",
    }
    found = {_META + path: text for path, text in meta.items()}
    found["dynamic/instance-identity/document"] = json.dumps(document)
    return found | dict(facts(machine).paths) | machine.notices


def role_path(machine: Served) -> str | None:
    """The path of the machine's credentials, or None where it has no role."""
    role = facts(machine).role
    return None if role is None else _ROLE + role


def credentials_text(credentials: Mapping[str, Any], now: datetime) -> str:
    """The role's credentials as the service words them.

    ``credentials`` has AccessKeyId, SecretAccessKey, Token and Expiration.
    """
    head = {"Code": "Success", "LastUpdated": rfc3339(now), "Type": "AWS-HMAC"}
    return json.dumps(head | dict(credentials), indent=2)


def directory(paths: list[str], asked: str) -> str | None:
    """The listing of a directory, one entry a line, or None where there is none.

    A subdirectory ends in a slash, as on the real service: clients walk the tree by it.
    """
    prefix = asked.rstrip("/") + "/" if asked.strip("/") else ""
    entries = set()
    for path in paths:
        if path.startswith(prefix):
            first, slash, _ = path[len(prefix) :].partition("/")
            entries.add(first + slash)
    # A directory whose listing is a text of its own is in `paths` as both.
    entries -= {entry.rstrip("/") for entry in entries if entry.endswith("/")}
    return "\n".join(sorted(entries)) if entries else None
