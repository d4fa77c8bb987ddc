"""What `init` makes in the account, step by step; harmless when it is there already."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from dstack_cloud.clouds.aws import role, store
from dstack_cloud.clouds.aws.errors import code_of, translated
from dstack_cloud.clouds.aws.names import GROUP, OWNER, as_aws
from dstack_cloud.clouds.aws.sessions import Sessions
from dstack_cloud.errors import InputError


class Wanted(Protocol):
    """The settings that say what to make; ``regions``' first is the bucket's."""

    @property
    def store(self) -> str | None: ...
    @property
    def regions(self) -> tuple[str, ...]: ...
    @property
    def profile(self) -> str | None: ...
    @property
    def role(self) -> str: ...
    @property
    def subnets(self) -> tuple[str, ...]: ...
    @property
    def security_groups(self) -> tuple[str, ...]: ...


def init(wanted: Wanted) -> Iterator[tuple[str, str]]:
    """Make bucket, role, instance profile, spot role and security groups.

    Yields (step, what was done) as each is done. Every step may be repeated. The groups are made
    only where the settings name none of the user's own.
    """
    if wanted.store is None or not wanted.regions:
        raise InputError("a store and a region are needed", "add --store s3://NAME --region R")
    bucket, prefix = store.parse(wanted.store)
    region = wanted.regions[0]
    sessions = Sessions(wanted.profile)
    identity = sessions.identity(region)
    yield "account", f"{identity.account} ({identity.arn.rsplit(':', 1)[-1]})"
    s3 = sessions.client("s3", region)
    yield (
        "bucket",
        f"{bucket} in {region}: {store.make_bucket(s3, bucket, region, identity.account)}",
    )
    yield "bucket's protection", store.protect_bucket(s3, bucket, region)
    iam = sessions.client("iam", region)
    yield "role", f"{wanted.role}: {role.make_role(iam, wanted.role, identity, bucket, prefix)}"
    yield "instance profile", f"{wanted.role}: {role.make_profile(iam, wanted.role)}"
    yield "spot", f"{role.SPOT_ROLE}: {role.make_spot_role(iam)}"
    if wanted.security_groups:
        yield "security groups", f"your own: {', '.join(wanted.security_groups)}"
        return
    for place in wanted.regions:
        ec2 = sessions.ec2(place)
        yield "security group", f"{place}: {_make_group(ec2, place, wanted.subnets)}"


def _make_group(ec2: Any, region: str, subnets: tuple[str, ...]) -> str:
    """One group for each VPC that machines are put in. It lets nobody in: `run` adds the caller."""
    said = []
    for vpc in _vpcs(ec2, region, subnets):
        filters = [
            {"Name": "vpc-id", "Values": [vpc]},
            {"Name": "group-name", "Values": [GROUP]},
        ]
        with translated("looking for the security group", region):
            found = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
        if found:
            said.append(f"{found[0]['GroupId']} in {vpc} was there")
            continue
        said.append(f"{_create_group(ec2, region, vpc)} in {vpc} made")
    return ", ".join(said)


def _create_group(ec2: Any, region: str, vpc: str) -> str:
    from botocore.exceptions import ClientError

    with translated("making the security group", region):
        try:
            answer = ec2.create_security_group(
                GroupName=GROUP,
                Description="Machines of dstack-cloud: SSH from the callers' addresses",
                VpcId=vpc,
                TagSpecifications=[
                    {
                        "ResourceType": "security-group",
                        "Tags": as_aws({OWNER: "shared", "Name": GROUP}),
                    }
                ],
            )
        except ClientError as error:
            if code_of(error) != "InvalidGroup.Duplicate":
                raise
            return GROUP
    return str(answer["GroupId"])


def _vpcs(ec2: Any, region: str, subnets: tuple[str, ...]) -> list[str]:
    if subnets:
        with translated("reading the subnets", region):
            answer = ec2.describe_subnets(Filters=[{"Name": "subnet-id", "Values": list(subnets)}])
        found = sorted({subnet["VpcId"] for subnet in answer["Subnets"]})
    else:
        with translated("reading the VPCs", region):
            answer = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])
        found = [vpc["VpcId"] for vpc in answer["Vpcs"]]
    if not found:
        raise InputError(
            f"there is no VPC to run in in {region}",
            "name subnets in the setting aws.subnets, or make a default VPC: "
            f"aws ec2 create-default-vpc --region {region}",
        )
    return found
