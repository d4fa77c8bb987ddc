"""The service-linked role of spot, under the name that AWS gives it; moto would call it another."""

from __future__ import annotations

import json

from moto_fixtures.aws import backends
from moto_fixtures.aws.answer import Answer, AwsError
from moto_fixtures.aws.request import Request

SPOT_SERVICE = "spot.amazonaws.com"
SPOT_ROLE = "AWSServiceRoleForEC2Spot"


def has_spot_role() -> bool:
    """Whether the account has used spot before."""
    return any(role.name == SPOT_ROLE for role in backends.iam().roles.values())


def make_spot_role() -> None:
    """Create it; there is at most one."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": SPOT_SERVICE},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    backends.iam().create_role(
        SPOT_ROLE,
        json.dumps(trust),
        f"/aws-service-role/{SPOT_SERVICE}/",
        permissions_boundary=None,
        description="Default EC2 Spot Service Linked Role",
        tags=[],
        max_session_duration="3600",
        linked_service=SPOT_SERVICE,
    )


def create_service_linked_role(request: Request) -> Answer:
    """A second one is InvalidInput, as the real IAM has it."""
    if request.params.get("AWSServiceName") != SPOT_SERVICE:
        return request.to_moto()
    if has_spot_role():
        raise AwsError(
            "InvalidInput",
            f"Service role name {SPOT_ROLE} has been taken in this account, please try a "
            "different suffix.",
        )
    make_spot_role()
    role = next(r for r in backends.iam().roles.values() if r.name == SPOT_ROLE)
    return request.answer({"Role": role})


HANDLERS = {"CreateServiceLinkedRole": create_service_linked_role}
