"""The evaluation of policies, by itself."""

from __future__ import annotations

from typing import Any

import pytest

from moto_fixtures.aws.iam.policy import Needed, UnsupportedPolicy, decide

INSTANCE = "arn:aws:ec2:us-east-1:123456789012:instance/i-0abc"


def rule(**statement: Any) -> dict[str, Any]:
    full = {"Effect": "Allow", "Action": "ec2:TerminateInstances", "Resource": "*", **statement}
    return {"Version": "2012-10-17", "Statement": [full]}


def verdict(policy: dict[str, Any], **context: str | list[str]) -> str:
    values = {k: v if isinstance(v, list) else [v] for k, v in context.items()}
    renamed = {k.replace("__", "/").replace("_", ":", 1): v for k, v in values.items()}
    return decide([policy], Needed("ec2:TerminateInstances", INSTANCE, renamed))


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ({}, True),
        ({"Action": "EC2:terminate*"}, True),
        ({"Action": ["ec2:RunInstances"]}, False),
        ({"Resource": "arn:aws:ec2:*:123456789012:instance/*"}, True),
        ({"Resource": "arn:aws:ec2:*:123456789012:volume/*"}, False),
        ({"Resource": "arn:aws:ec2:*:123456789012:instance/i-[0]abc"}, False),
        ({"Action": "ec2:Terminate?nstances"}, True),
    ],
)
def test_actions_and_resources(statement: dict[str, Any], allowed: bool) -> None:
    assert (verdict(rule(**statement)) == "allow") is allowed


def test_not_action_and_not_resource() -> None:
    other = {k: v for k, v in rule()["Statement"][0].items() if k != "Action"}
    assert verdict({"Statement": {**other, "NotAction": "s3:*"}}) == "allow"
    assert verdict({"Statement": {**other, "NotAction": "ec2:*"}}) == "implicit deny"
    rest = {k: v for k, v in rule()["Statement"][0].items() if k != "Resource"}
    assert verdict({"Statement": {**rest, "NotResource": INSTANCE}}) == "implicit deny"


def test_an_explicit_deny_wins_in_whatever_order() -> None:
    need = Needed("ec2:TerminateInstances", INSTANCE)
    deny = rule(Effect="Deny")
    assert decide([rule(), deny], need) == "explicit deny"
    assert decide([deny, rule()], need) == "explicit deny"
    assert decide([], need) == "implicit deny"


CONDITIONS: list[tuple[str, str, object, str | list[str] | None, bool]] = [
    ("StringEquals", "aws:x", "a", "a", True),
    ("StringEquals", "aws:x", ["a", "b"], "b", True),
    ("StringEquals", "aws:x", "a", "A", False),
    ("StringEquals", "aws:x", "a", None, False),
    ("StringEqualsIgnoreCase", "aws:x", "a", "A", True),
    ("StringEqualsIfExists", "aws:x", "a", None, True),
    ("StringNotEquals", "aws:x", "a", "b", True),
    ("StringNotEquals", "aws:x", "a", None, True),
    ("StringLike", "aws:x", "ru*", "run-1", True),
    ("StringNotLike", "aws:x", "ru*", "run-1", False),
    ("ArnLike", "aws:x", "arn:aws:ec2:*:*:instance/*", INSTANCE, True),
    ("ArnLike", "aws:x", "arn:aws:*:instance/*", INSTANCE, False),
    ("Bool", "aws:x", True, "true", True),
    ("Bool", "aws:x", "false", "true", False),
    ("Null", "aws:x", "true", None, True),
    ("Null", "aws:x", "false", "there", True),
    ("NumericLessThanEquals", "aws:x", "100", "100", True),
    ("NumericLessThanEquals", "aws:x", "100", "101", False),
    ("ForAllValues:StringEquals", "aws:x", ["a", "b"], ["a", "c"], False),
    ("ForAllValues:StringEquals", "aws:x", ["a", "b"], None, True),
    ("ForAnyValue:StringEquals", "aws:x", ["a", "b"], ["a", "c"], True),
    ("ForAnyValue:StringEquals", "aws:x", ["a", "b"], None, False),
]


@pytest.mark.parametrize(("operator", "key", "wanted", "got", "allowed"), CONDITIONS)
def test_conditions(
    operator: str, key: str, wanted: object, got: str | list[str] | None, allowed: bool
) -> None:
    policy = rule(Condition={operator: {key.upper(): wanted}})
    context = {} if got is None else {"aws_x": got}
    assert (verdict(policy, **context) == "allow") is allowed


def test_a_machine_may_end_only_itself() -> None:
    policy = rule(Condition={"StringLike": {"aws:userid": "*:${ec2:InstanceID}"}})
    mine = {"aws_userid": "AROAEXAMPLE:i-0abc", "ec2_instanceid": "i-0abc"}
    assert verdict(policy, **mine) == "allow"
    assert verdict(policy, **{**mine, "ec2_instanceid": "i-0def"}) == "implicit deny"


def test_a_variable_without_a_value_matches_nothing_not_everything() -> None:
    policy = rule(Resource="arn:aws:ec2:us-east-1:123456789012:instance/${ec2:InstanceID}*")
    assert verdict(policy, ec2_instanceid="i-0abc") == "allow"
    assert verdict(policy) == "implicit deny"


def test_an_operator_that_is_not_known_is_an_error_not_a_yes() -> None:
    with pytest.raises(UnsupportedPolicy, match="DateLessThan"):
        verdict(rule(Condition={"DateLessThan": {"aws:CurrentTime": "2030-01-01"}}), aws_x="a")
