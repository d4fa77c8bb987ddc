"""STS where moto's answer would not be true of the caller."""

from __future__ import annotations

import json
from typing import Any

from moto_fixtures.aws import backends
from moto_fixtures.aws.answer import Answer, AwsError
from moto_fixtures.aws.backends import ACCOUNT
from moto_fixtures.aws.iam.policy import like, statements
from moto_fixtures.aws.iam.principals import Principal
from moto_fixtures.aws.request import Request


def get_caller_identity(request: Request) -> Answer:
    """Who the caller is; needs no permission."""
    who = request.principal
    return request.answer({"Account": ACCOUNT, "Arn": who.arn, "UserId": who.userid})


def _trusts(document: dict[str, Any], who: Principal, *, by_name: bool = False) -> bool:
    arns = [who.arn, *who.context.get("aws:principalarn", ())]
    whole = () if by_name else (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "*")
    for statement in statements(document):
        named = (statement.get("Principal") or {}).get("AWS", [])
        trusted = named if isinstance(named, list) else [named]
        allows = statement.get("Effect") == "Allow"
        if allows and any(t in whole or any(like(t, arn) for arn in arns) for t in trusted):
            return True
    return False


def _trust_of(role_arn: str) -> dict[str, Any]:
    role = next((r for r in backends.iam().roles.values() if r.arn == role_arn), None)
    found: dict[str, Any] = json.loads(role.assume_role_policy_document) if role else {}
    return found


def named_by(request: Request) -> bool:
    """Whether the role's trust policy names the caller itself: in one account, that is enough.

    docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html (Permissions)
    """
    document = _trust_of(str(request.params.get("RoleArn")))
    return bool(document) and _trusts(document, request.principal, by_name=True)


def assume_role(request: Request) -> Answer:
    """The role must exist and trust the caller; moto makes the session."""
    arn = str(request.params.get("RoleArn"))
    document = _trust_of(arn)
    if not document or not _trusts(document, request.principal):
        raise AwsError(
            "AccessDenied",
            f"User: {request.principal.arn} is not authorized to perform: sts:AssumeRole "
            f"on resource: {arn}",
        )
    return request.to_moto()


HANDLERS = {"GetCallerIdentity": get_caller_identity, "AssumeRole": assume_role}
