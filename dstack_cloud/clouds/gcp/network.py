"""Who may reach the machines: firewall rules for our network tag, one for each caller's address.

The rule of a fresh default network that lets SSH in from everywhere has a low priority; ours that
keeps everybody out (made by `init`) stands before it, and those of the callers before that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dstack_cloud.clouds.gcp.errors import translated
from dstack_cloud.clouds.gcp.names import (
    NODES,
    OWNER,
    RULE,
    TAG,
    deny_name,
    nodes_name,
    rule_name,
)
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


def nodes_rule(network: str) -> dict[str, Any]:
    """Every port of our machines in a network from one another, and from nobody else: pure.

    A tag as the source stands for the machines' own addresses in the network
    (docs.cloud.google.com/firewall/docs/firewalls).
    """
    return {
        "name": nodes_name(network),
        "network": network,
        "description": f"{OWNER}: the nodes of a run reach each other",
        "direction": "INGRESS",
        "priority": _ALLOW,
        "sourceTags": [TAG],
        "targetTags": [TAG],
        "allowed": [{"IPProtocol": "all"}],
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


def admit_each_other(sessions: Sessions, network: str, within_s: float) -> None:
    """Let our machines in the network reach each other at every port: the nodes of a run meet
    there. A rule that is there already is as good."""
    add(sessions, nodes_rule(network), "letting nodes reach each other", within_s)


def rules(sessions: Sessions) -> list[tuple[str, str]]:
    """(name, description) of every rule that we made for SSH or for nodes."""
    asked = compute_v1().ListFirewallsRequest(
        project=sessions.project(), filter=f'name eq "({RULE}|{NODES}).*"'
    )
    with translated("reading the firewall rules"):
        found = [as_json(rule) for rule in sessions.client("Firewalls").list(asked)]
    return [
        (rule["name"], rule.get("description", ""))
        for rule in found
        if rule["name"].startswith((RULE, NODES))
    ]


def expel(sessions: Sessions, rule: str) -> None:
    """Take a rule away; harmless when it is gone already."""
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
