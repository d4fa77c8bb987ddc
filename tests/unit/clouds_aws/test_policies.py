"""The policies that ship: rendered whole, and as narrow as they claim."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dstack_cloud.clouds.aws import policies

DOCS = Path(__file__).parents[3] / "docs" / "aws.md"
# AWS's own limits, in characters without white space
# (docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
MANAGED_LIMIT, ROLE_INLINE_LIMIT = 6144, 10240


def rendered(name: str, **more: Any) -> dict[str, Any]:
    given = {"account": "123456789012", "bucket": "b" * 63, "prefix": "a/prefix", **more}
    return policies.render(name, **given)


def statements(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rendered(name)["Statement"]
    return found


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def actions(name: str) -> Iterator[str]:
    for statement in statements(name):
        yield from listed(statement["Action"])


@pytest.mark.parametrize("name", policies.NAMES)
def test_nothing_is_left_to_fill_in(name: str) -> None:
    text = json.dumps(rendered(name))
    assert [found for found in re.findall(r"\$\{([^}]*)\}", text) if ":" not in found] == []


@pytest.mark.parametrize("name", policies.NAMES)
def test_no_action_is_a_pattern(name: str) -> None:
    assert [action for action in actions(name) if "*" in action or "?" in action] == []


def test_they_fit() -> None:
    for name, limit in (("run", MANAGED_LIMIT), ("init", MANAGED_LIMIT), ("machine", 4000)):
        assert len(json.dumps(rendered(name), separators=(",", ":"))) < limit
    assert ROLE_INLINE_LIMIT > 2 * 4000, "a role has room for the policies of two stores"


# What EC2, Pricing, Service Quotas, Secrets Manager and ECR cannot narrow to a resource.
WIDE = re.compile(
    r"ec2:Describe(?!InstanceAttribute)|pricing:GetProducts|servicequotas:Get"
    r"|secretsmanager:ListSecrets$|ecr:GetAuthorizationToken$"
)


@pytest.mark.parametrize("name", ["run", "images", "init", "machine"])
def test_only_reading_is_allowed_on_everything(name: str) -> None:
    for statement in statements(name):
        if "*" in listed(statement["Resource"]):
            assert all(WIDE.match(action) for action in listed(statement["Action"]))


@pytest.mark.parametrize(
    "action",
    [
        "ec2:TerminateInstances",
        "ec2:ModifyInstanceAttribute",
        "ec2:DeleteLaunchTemplate",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:RevokeSecurityGroupIngress",
    ],
)
def test_only_what_is_ours_can_be_ended_or_changed(action: str) -> None:
    [statement] = [one for one in statements("run") if action in listed(one["Action"])]
    assert statement["Condition"]["StringLike"] == {"aws:ResourceTag/dstack-cloud": "*"}


def test_only_images_of_ours_are_made_and_deleted() -> None:
    for statement in statements("images"):
        [(operator, condition)] = statement["Condition"].items()
        assert (operator, *condition) in {
            ("StringLike", "aws:ResourceTag/dstack-cloud"),
            ("StringLike", "aws:RequestTag/dstack-cloud"),
            ("StringEquals", "ec2:CreateAction"),
        }
    assert set(actions("images")).isdisjoint(set(actions("run")) - {"ec2:CreateTags"})


def test_only_one_role_can_be_passed_and_to_ec2_alone() -> None:
    for name in ("run", "init"):
        [statement] = [one for one in statements(name) if one["Action"] == "iam:PassRole"]
        assert statement["Resource"] == "arn:aws:iam::123456789012:role/dstack-cloud-machine"
        assert statement["Condition"] == {
            "StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}
        }


def test_tags_only_at_creation() -> None:
    for name in ("run", "images", "init"):
        [statement] = [one for one in statements(name) if one["Action"] == "ec2:CreateTags"]
        assert "ec2:CreateAction" in statement["Condition"]["StringEquals"]


def test_a_machine_ends_only_itself() -> None:
    [statement] = [
        one for one in statements("machine") if one["Action"] == "ec2:TerminateInstances"
    ]
    assert statement["Condition"]["StringLike"]["aws:userid"] == "*:${ec2:InstanceID}"


def test_the_store_is_its_prefix() -> None:
    for name in ("run", "machine"):
        [use] = [one for one in statements(name) if one.get("Sid") == "UseStore"]
        assert use["Resource"] == f"arn:aws:s3:::{'b' * 63}/a/prefix/*"
    [use] = [
        one
        for one in policies.render("run", account="1", bucket="b")["Statement"]
        if one["Sid"] == "UseStore"
    ]
    assert use["Resource"] == "arn:aws:s3:::b/*"


def test_other_partitions_and_roles() -> None:
    text = json.dumps(rendered("run", partition="aws-us-gov", role="mine"))
    assert "arn:aws:" not in text
    assert "arn:aws-us-gov:iam::123456789012:role/mine" in text
    assert "instance-profile/mine" in text


def documented() -> dict[str, set[str]]:
    """Permission -> the policies that the table in docs/aws.md says it is in."""
    found: dict[str, set[str]] = {}
    for line in DOCS.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 4:
            for permission in re.findall(r"`([a-z0-9]+:[A-Za-z]+)`", cells[1]):
                found.setdefault(permission, set()).update(re.findall(r"\w+", cells[2]))
    return found


def test_the_table_in_the_docs_is_the_policies() -> None:
    shipped: dict[str, set[str]] = {}
    for name in ("run", "images", "init", "machine"):
        for action in actions(name):
            shipped.setdefault(action, set()).add(name)
    assert documented() == shipped
