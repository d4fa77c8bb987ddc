"""STS where moto's answer would not be true of the caller."""

from __future__ import annotations

import json
from typing import Any

from moto_fixtures.aws import backends
from moto_fixtures.aws.answer import Answer, AwsError
from moto_fixtures.aws.backends import ACCOUNT
from moto_fixtures.aws.iam.policy import like, statements
from moto_fixtures.aws.request import Request


def get_caller_identity(request: Request) -> Answer:
    """Who the caller is; needs no permission."""
    who = request.principal
    return request.answer({"Account": ACCOUNT, "Arn": who.arn, "UserId": who.userid})


def _trusts(document: dict[str, Any], arn: str) -> bool:
    for statement in statements(document):
        named = (statement.get("Principal") or {}).get("AWS", [])
        trusted = named if isinstance(named, list) else [named]
        whole = (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "*")
        if statement.get("Effect") == "Allow" and any(t in whole or like(t, arn) for t in trusted):
            return True
    return False


def assume_role(request: Request) -> Answer:
    """The role must exist and trust the caller; moto makes the session."""
    arn = str(request.params.get("RoleArn"))
    role = next((r for r in backends.iam().roles.values() if r.arn == arn), None)
    document = json.loads(role.assume_role_policy_document) if role is not None else {}
    if not _trusts(document, request.principal.arn):
        raise AwsError(
            "AccessDenied",
            f"User: {request.principal.arn} is not authorized to perform: sts:AssumeRole "
            f"on resource: {arn}",
        )
    return request.to_moto()


HANDLERS = {"GetCallerIdentity": get_caller_identity, "AssumeRole": assume_role}
