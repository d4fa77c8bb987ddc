"""Where machines are put: the default VPC or configured subnets, and who may reach them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dstack_cloud.clouds.aws.errors import code_of, translated
from dstack_cloud.clouds.aws.names import GROUP, OWNER, rule_description
from dstack_cloud.errors import InputError
from dstack_cloud.resources import Offer

SSH = 22
_NODES = "dstack-cloud nodes"


@dataclass(frozen=True)
class Subnet:
    """One subnet: its zone by name and by zone ID."""

    id: str
    vpc: str
    zone: str
    zone_id: str


@dataclass(frozen=True)
class Network:
    """The subnets to choose from and the groups of a machine in each VPC.

    ``own`` says that the groups are ours, so that the caller's address must be admitted.
    """

    subnets: tuple[Subnet, ...]
    groups: dict[str, tuple[str, ...]]
    own: bool

    def of_offer(self, offer: Offer) -> list[tuple[str | None, Subnet]]:
        """(The offer's zone, a subnet there), cheapest zone first.

        The zone is as the offer names it; None where the offer names none. An offer may name
        zones by name or by zone ID. Only subnets of a VPC with groups count.
        """
        usable = [subnet for subnet in self.subnets if subnet.vpc in self.groups]
        if not offer.zones:
            return [(None, subnet) for subnet in usable]
        return [
            (zone.zone, subnet)
            for zone in offer.zones
            for subnet in usable
            if zone.zone in (subnet.zone, subnet.zone_id)
        ]


def read_subnets(ec2: Any, region: str, configured: Sequence[str] = ()) -> tuple[Subnet, ...]:
    """The configured subnets that are in the region, else those of the default VPC.

    Raises InputError when there is none.
    """
    name, values = ("subnet-id", list(configured)) if configured else ("default-for-az", ["true"])
    with translated("reading the subnets", region):
        answer = ec2.describe_subnets(Filters=[{"Name": name, "Values": values}])
    found = tuple(
        Subnet(
            subnet["SubnetId"],
            subnet["VpcId"],
            subnet["AvailabilityZone"],
            subnet.get("AvailabilityZoneId", ""),
        )
        for subnet in answer["Subnets"]
    )
    if not found:
        raise _no_subnet(region, configured)
    return found


def read_groups(
    ec2: Any, region: str, configured: Sequence[str] = ()
) -> dict[str, tuple[str, ...]]:
    """Group ids by VPC: the configured ones that are in the region, else those of our name."""
    name, values = ("group-id", list(configured)) if configured else ("group-name", [GROUP])
    with translated("reading the security groups", region):
        answer = ec2.describe_security_groups(Filters=[{"Name": name, "Values": values}])
    groups: dict[str, tuple[str, ...]] = {}
    for group in answer["SecurityGroups"]:
        groups[group["VpcId"]] = (*groups.get(group["VpcId"], ()), group["GroupId"])
    return groups


def network(
    region: str,
    subnets: tuple[Subnet, ...],
    groups: dict[str, tuple[str, ...]],
    configured: Sequence[str] = (),
) -> Network:
    """The two together; InputError when no subnet's VPC has a group."""
    vpcs = {subnet.vpc for subnet in subnets}
    usable = {vpc: ids for vpc, ids in groups.items() if vpc in vpcs}
    if not usable:
        raise _no_group(region, subnets[0].vpc, configured)
    return Network(subnets, usable, own=not configured)


def _no_subnet(region: str, configured: Sequence[str]) -> InputError:
    if configured:
        return InputError(
            f"none of the subnets in aws.subnets is in {region}",
            f"add one of {region}, or leave the region out with --region or aws.regions",
        )
    return InputError(
        f"the account has no default VPC in {region}",
        "name subnets in the setting aws.subnets, or make a default VPC: "
        f"aws ec2 create-default-vpc --region {region}",
    )


def _no_group(region: str, vpc: str, configured: Sequence[str]) -> InputError:
    if configured:
        return InputError(
            f"none of the groups in aws.security_groups is in {vpc} in {region}",
            "name a security group of the VPC that aws.subnets are in",
        )
    return InputError(
        f"{vpc} in {region} has no security group '{GROUP}'",
        f"run dstack-cloud init --cloud aws --region {region}, or name groups of your own in "
        "aws.security_groups",
    )


def vpc_ranges(ec2: Any, region: str, vpc: str) -> list[str]:
    """The IPv4 ranges of a VPC."""
    with translated("reading the VPC", region):
        found = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]
    return [
        association["CidrBlock"]
        for one in found
        for association in one.get("CidrBlockAssociationSet", ())
        if association.get("CidrBlockState", {}).get("State", "associated") == "associated"
    ] or [one["CidrBlock"] for one in found]


def rule(cidr: str, **more: str) -> dict[str, Any]:
    """SSH from an IPv4 range, as EC2 takes it."""
    return {
        "IpProtocol": "tcp",
        "FromPort": SSH,
        "ToPort": SSH,
        "IpRanges": [{"CidrIp": cidr, **more}],
    }


def admit(ec2: Any, region: str, group: str, ranges: Sequence[str], owner: str) -> None:
    """Let SSH in from these ranges; a rule that is there already is as good."""
    for cidr in ranges:
        wanted = rule(cidr, Description=rule_description(owner))
        with translated(f"letting {cidr} reach SSH", region), _but("InvalidPermission.Duplicate"):
            ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[wanted])


def nodes_rule(group: str) -> dict[str, Any]:
    """Every port, from the machines of the group itself."""
    pairs = [{"GroupId": group, "Description": _NODES}]
    return {"IpProtocol": "-1", "UserIdGroupPairs": pairs}


def admit_each_other(ec2: Any, region: str, group: str) -> None:
    """Let the machines of the group, and nobody else, reach each other at every port: the nodes of
    a run meet there. A rule that is there already is as good."""
    wanted = nodes_rule(group)
    with translated("letting nodes reach each other", region), _but("InvalidPermission.Duplicate"):
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[wanted])


def expel(ec2: Any, region: str, group: str, cidr: str) -> None:
    """Take an SSH rule away; harmless when it is gone already."""
    _revoke(ec2, region, group, rule(cidr), f"removing the SSH rule of {cidr}")


def expel_each_other(ec2: Any, region: str, group: str) -> None:
    """Take the nodes' rule away; harmless when it is gone already."""
    _revoke(ec2, region, group, nodes_rule(group), "removing the nodes' rule")


def _revoke(ec2: Any, region: str, group: str, permission: dict[str, Any], doing: str) -> None:
    with translated(doing, region), _but("InvalidPermission.NotFound"):
        ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission])


@contextmanager
def _but(harmless: str) -> Iterator[None]:
    """Let one error code pass."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if code_of(error) != harmless:
            raise


def ssh_rules(groups: Sequence[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """(group, range, description) of every SSH rule that we made in groups of ours."""
    return [
        (group["GroupId"], one["CidrIp"], one.get("Description", ""))
        for group in groups
        for permission in group.get("IpPermissions", ())
        if permission.get("FromPort") == SSH
        for one in permission.get("IpRanges", ())
        if one.get("Description", "").startswith(rule_description(""))
    ]


def nodes_rules(groups: Sequence[dict[str, Any]]) -> list[str]:
    """Those of our groups whose machines may reach each other."""
    return [
        group["GroupId"]
        for group in groups
        for permission in group.get("IpPermissions", ())
        if any(one.get("Description") == _NODES for one in permission.get("UserIdGroupPairs", ()))
    ]


def own_groups(ec2: Any, region: str) -> list[dict[str, Any]]:
    """The security groups in the region that are ours."""
    with translated("reading the security groups", region):
        answer = ec2.describe_security_groups(
            Filters=[
                {"Name": "group-name", "Values": [GROUP]},
                {"Name": "tag-key", "Values": [OWNER]},
            ]
        )
    return list(answer["SecurityGroups"])
