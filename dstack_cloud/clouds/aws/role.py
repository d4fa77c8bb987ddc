"""The machines' role, its instance profile, and the role that spot machines need."""

from __future__ import annotations

import json
from typing import Any

from dstack_cloud.clouds.aws.errors import code_of, translated
from dstack_cloud.clouds.aws.policies import render
from dstack_cloud.clouds.aws.sessions import Identity

SPOT_SERVICE = "spot.amazonaws.com"
SPOT_ROLE = "AWSServiceRoleForEC2Spot"


def make_role(iam: Any, role: str, identity: Identity, bucket: str, prefix: str) -> str:
    """See to it that the role exists and may use this store; says what was done.

    Each store has a policy of its own in the role, so a second store does not shut the first.
    """
    from botocore.exceptions import ClientError

    def document(name: str) -> str:
        return json.dumps(
            render(
                name,
                account=identity.account,
                bucket=bucket,
                prefix=prefix,
                role=role,
                partition=identity.partition,
            )
        )

    said = "made"
    with translated(f"making the role {role}"):
        try:
            iam.create_role(
                RoleName=role,
                AssumeRolePolicyDocument=document("machine-trust"),
                Description="What machines that dstack-cloud launches may do",
            )
        except ClientError as error:
            if code_of(error) != "EntityAlreadyExists":
                raise
            said = "was there"
        iam.put_role_policy(
            RoleName=role,
            PolicyName=policy_name(bucket, prefix),
            PolicyDocument=document("machine"),
        )
    return said


def policy_name(bucket: str, prefix: str) -> str:
    """The name of a store's policy in the role."""
    folder = prefix.replace("/", "-")
    return f"store-{bucket}" + (f"-{folder}" if folder else "")


def make_profile(iam: Any, role: str) -> str:
    """See to it that the instance profile of the role's name exists and holds the role."""
    from botocore.exceptions import ClientError

    said = "was there"
    with translated(f"making the instance profile {role}"):
        try:
            iam.create_instance_profile(InstanceProfileName=role)
            said = "made"
        except ClientError as error:
            if code_of(error) != "EntityAlreadyExists":
                raise
        profile = iam.get_instance_profile(InstanceProfileName=role)["InstanceProfile"]
        if not any(one["RoleName"] == role for one in profile["Roles"]):
            iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)
    return said


def make_spot_role(iam: Any) -> str:
    """See to it that the account may launch spot machines by API."""
    from botocore.exceptions import ClientError

    with translated(f"making the role {SPOT_ROLE}"):
        try:
            iam.create_service_linked_role(AWSServiceName=SPOT_SERVICE)
        except ClientError as error:
            # "Service role name … has been taken in this account"
            if code_of(error) != "InvalidInput" or "taken" not in str(error):
                raise
            return "was there"
    return "made"
