"""Firewall rules: kept and shown. Packets of emulated machines are not filtered by them."""

from __future__ import annotations

import ipaddress
import re
import threading
from typing import Any

from moto_fixtures.gcp.call import GcpError
from moto_fixtures.gcp.compute.networks import DEFAULT, network_path
from moto_fixtures.gcp.project import PROJECT, last, link, new_id, not_found

Item = dict[str, Any]
NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
# RFC 1035, as the reference of every resource's name has it.


def firewall_path(name: str) -> str:
    return f"projects/{PROJECT}/global/firewalls/{name}"


class Firewalls:
    """The project's rules; a new project's default network has four."""

    def __init__(self, now: str) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, Item] = {}
        for name, allowed, ranges in (
            ("default-allow-icmp", [{"IPProtocol": "icmp"}], ["0.0.0.0/0"]),
            ("default-allow-internal", [{"IPProtocol": "all"}], ["10.128.0.0/9"]),
            ("default-allow-rdp", [{"IPProtocol": "tcp", "ports": ["3389"]}], ["0.0.0.0/0"]),
            ("default-allow-ssh", [{"IPProtocol": "tcp", "ports": ["22"]}], ["0.0.0.0/0"]),
        ):
            self.create(
                {"name": name, "allowed": allowed, "sourceRanges": ranges, "priority": 65534}, now
            )

    def create(self, rule: Item, now: str) -> Item:
        item = {
            "priority": 1000,
            "direction": "INGRESS",
            "disabled": False,
            "logConfig": {"enable": False},
            "network": link(network_path()),
            **{k: v for k, v in rule.items() if v is not None},
        }
        _check(item)
        path = firewall_path(item["name"])
        item |= {
            "kind": "compute#firewall",
            "id": new_id(),
            "creationTimestamp": now,
            "network": link(network_path(last(item["network"]))),
            "selfLink": link(path),
        }
        with self._lock:
            if path in self._kept:
                raise GcpError(409, "alreadyExists", f"The resource '{path}' already exists")
            self._kept[path] = item
        return item

    def patch(self, name: str, change: Item) -> None:
        current = self.get(name)
        changed = {**current, **{k: v for k, v in change.items() if k not in ("id", "kind")}}
        if changed["name"] != name:
            raise _invalid("name", changed["name"], "A rule's name cannot be changed.")
        _check(changed)
        with self._lock:
            self._kept[firewall_path(name)] = {k: v for k, v in changed.items() if v is not None}

    def get(self, name: str) -> Item:
        path = firewall_path(name)
        with self._lock:
            if path not in self._kept:
                raise not_found(path)
            return dict(self._kept[path])

    def remove(self, name: str) -> None:
        with self._lock:
            self._kept.pop(firewall_path(name), None)

    def listing(self) -> list[Item]:
        with self._lock:
            return [dict(item) for _, item in sorted(self._kept.items())]


def _check(rule: Item) -> None:
    """The reference of ``firewalls``: what a rule must have and may hold."""
    name = str(rule.get("name", ""))
    if not NAME.fullmatch(name):
        raise _invalid("name", name, f"Must be a match of regex '{NAME.pattern}'")
    if last(rule["network"]) != DEFAULT:
        raise not_found(network_path(last(rule["network"])))
    if bool(rule.get("allowed")) == bool(rule.get("denied")):
        raise _invalid("allowed", "", "Exactly one of allowed and denied must be specified.")
    if not 0 <= rule["priority"] <= 65535:
        raise _invalid("priority", rule["priority"], "Must be from 0 to 65535.")
    for each in (rule.get("allowed") or []) + (rule.get("denied") or []):
        if "IPProtocol" not in each:
            raise GcpError(400, "required", "Required field 'IPProtocol' not specified")
    for address in rule.get("sourceRanges") or []:
        try:
            ipaddress.ip_network(address, strict=False)
        except ValueError:
            raise _invalid("sourceRanges[0]", address, "Must be a valid address range.") from None
    for tag in (rule.get("targetTags") or []) + (rule.get("sourceTags") or []):
        if not NAME.fullmatch(tag):
            raise _invalid("targetTags[0]", tag, "Tags are names after RFC 1035.")


def _invalid(field: str, value: object, why: str) -> GcpError:
    return GcpError(400, "invalid", f"Invalid value for field 'resource.{field}': '{value}'. {why}")
