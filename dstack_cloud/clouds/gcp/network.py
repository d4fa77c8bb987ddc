"""Who may reach the machines: firewall rules for our network tag, one for each caller's address.

The rule of a fresh default network that lets SSH in from everywhere has a low priority; ours that
keeps everybody out (made by `init`) stands before it, and those of the callers before that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dstack_cloud.clouds.gcp.errors import translated
from dstack_cloud.clouds.gcp.names import OWNER, RULE, TAG, deny_name, rule_name
from dstack_cloud.clouds.gcp.operations import succeeded
from dstack_cloud.clouds.gcp.sdk import compute_v1
from dstack_cloud.clouds.gcp.sessions import Sessions, as_json

SSH = "22"
_ALLOW, _DENY = 900, 1000


def allow_rule(network: str, source: str, owner: str) -> dict[str, Any]:
    """SSH from a range of addresses to our machines in a network: pure."""
    return {
        "name": rule_name(network, source),
        "network": network,
        "description": f"{OWNER} {owner}"[:2048],
        "direction": "INGRESS",
        "priority": _ALLOW,
        "sourceRanges": [source],
        "targetTags": [TAG],
        "allowed": [{"IPProtocol": "tcp", "ports": [SSH]}],
    }


def deny_rule(network: str) -> dict[str, Any]:
    """Nobody else reaches our machines in a network: pure."""
    return {
        "name": deny_name(network),
        "network": network,
        "description": f"{OWNER}: machines answer only those whom a rule of their own lets in",
        "direction": "INGRESS",
        "priority": _DENY,
        "sourceRanges": ["0.0.0.0/0"],
        "targetTags": [TAG],
        "denied": [{"IPProtocol": "all"}],
    }


def add(sessions: Sessions, rule: dict[str, Any], doing: str, within_s: float) -> bool:
    """See to it that the rule is there; whether it was made now."""
    import json

    from google.api_core import exceptions

    firewalls, project = sessions.client("Firewalls"), sessions.project()
    resource = compute_v1().Firewall.from_json(json.dumps(rule))
    with translated(doing):
        try:
            operation = firewalls.insert_unary(project=project, firewall_resource=resource)
        except exceptions.Conflict:
            return False
    succeeded(sessions, operation, doing, within_s)
    return True


def admit(
    sessions: Sessions, network: str, sources: Sequence[str], owner: str, within_s: float
) -> None:
    """Let SSH in from these ranges; a rule that is there already is as good."""
    for source in sources:
        rule = allow_rule(network, source, owner)
        add(sessions, rule, f"letting {source} reach SSH", within_s)


def ssh_rules(sessions: Sessions) -> list[tuple[str, str]]:
    """(name, description) of every SSH rule that we made."""
    asked = compute_v1().ListFirewallsRequest(
        project=sessions.project(), filter=f'name eq "{RULE}.*"'
    )
    with translated("reading the firewall rules"):
        found = [as_json(rule) for rule in sessions.client("Firewalls").list(asked)]
    return [
        (rule["name"], rule.get("description", ""))
        for rule in found
        if rule["name"].startswith(RULE)
    ]


def expel(sessions: Sessions, rule: str) -> None:
    """Take an SSH rule away; harmless when it is gone already."""
    from google.api_core import exceptions

    with translated(f"removing the firewall rule {rule}"):
        try:
            sessions.client("Firewalls").delete_unary(project=sessions.project(), firewall=rule)
        except exceptions.NotFound:
            return


def subnet_ranges(sessions: Sessions, region: str, network: str) -> list[str]:
    """The IPv4 ranges of a network's subnetworks in a region."""
    with translated("reading the subnetworks", region):
        found = sessions.client("Subnetworks").list(project=sessions.project(), region=region)
        return sorted(
            str(one.ip_cidr_range) for one in found if one.network.endswith("/" + network)
        )
