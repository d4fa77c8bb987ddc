"""An emulated AWS's call log, held against the policies that ship and the table in the docs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dstack_cloud.clouds.aws import policies

TABLE = Path(__file__).parents[2] / "docs" / "aws.md"
# Asked where a registry gives an image away, which stubs have none of: see
# tests/e2e/test_private_images.py.
BY_REGISTRIES = {"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}


@dataclass(frozen=True)
class Row:
    """A line of the table: calls, the permissions they need, the policies that give them."""

    calls: frozenset[str]
    permissions: frozenset[str]
    policies: frozenset[str]


def table() -> list[Row]:
    """The table 'Calls and permissions' of docs/aws.md."""
    rows = []
    for line in TABLE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        permissions = re.findall(r"`([a-z0-9]+:[A-Za-z]+)`", cells[1]) if len(cells) == 4 else []
        if line.startswith("|") and permissions:
            calls = re.findall(r"\b[A-Z][A-Za-z0-9]+[a-z0-9]\b", cells[0])
            given = re.findall(r"\w+", cells[2])
            rows.append(Row(frozenset(calls), frozenset(permissions), frozenset(given)))
    return rows


def allowed(policy: str) -> set[str]:
    """The actions that a policy allows."""
    document = policies.render(policy, account="1", bucket="b")
    found: set[str] = set()
    for statement in document["Statement"]:
        actions = statement["Action"]
        found.update([actions] if isinstance(actions, str) else actions)
    return found


def asked(calls: Iterable[dict[str, Any]]) -> set[str]:
    """The permissions that the calls needed and had."""
    return {
        permission
        for call in calls
        if call["outcome"] not in DENIED
        for permission in call["permissions"]
    }


def denied(calls: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    """Action and error of the calls that were refused."""
    return [(call["action"], call["outcome"]) for call in calls if call["outcome"] in DENIED]


def undocumented(policy: str, calls: Iterable[dict[str, Any]]) -> set[tuple[str, str]]:
    """Action and permission of the calls for which the table has no line of that policy."""
    known = {
        (call, permission)
        for row in table()
        if policy in row.policies
        for call in row.calls
        for permission in row.permissions
    }
    return {
        (call["action"], permission)
        for call in calls
        for permission in call["permissions"]
        if (call["action"], permission) not in known
    }


def never_seen(policy: str, calls: Iterable[dict[str, Any]]) -> list[Row]:
    """The lines of the table that give the policy a right which none of the calls needed."""
    seen = {(call["action"], permission) for call in calls for permission in call["permissions"]}
    return [
        row
        for row in table()
        if policy in row.policies
        and not row.permissions <= BY_REGISTRIES
        and not any((call, wanted) in seen for call in row.calls for wanted in row.permissions)
    ]
