"""May the caller launch? Asked with DryRun, and with one launch template that is deleted again."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

from dstack_cloud.clouds.aws import fleet, machines, network, run_instances, templates
from dstack_cloud.clouds.aws.errors import code_of, translated
from dstack_cloud.clouds.aws.groups import Pool
from dstack_cloud.clouds.aws.images import Recipe
from dstack_cloud.clouds.aws.machines import Reach
from dstack_cloud.clouds.aws.names import as_aws, launch_tags
from dstack_cloud.clouds.aws.prepare import Prepared
from dstack_cloud.clouds.aws.sessions import Sessions
from dstack_cloud.clouds.aws.settings import Settings
from dstack_cloud.clouds.aws.template import Blueprint
from dstack_cloud.clouds.base import Check, LaunchRequest
from dstack_cloud.clouds.check_line import line
from dstack_cloud.errors import DstackError
from dstack_cloud.resources import Offer
from dstack_cloud.units import GIB

# Sold in every region, and cheap enough to be in nobody's denials.
_MACHINE = "t3.micro"


def launch_checks(
    sessions: Sessions, settings: Settings, asked: Prepared, recipes: dict[str, Recipe]
) -> Iterator[Check]:
    """Templates, fleets, RunInstances, SSH rules, termination. Nothing is left behind."""
    region = asked.region
    try:
        found = asked.network()
        image = asked.images()[next(iter(recipes.values()))]
    except DstackError:
        yield Check("launching", None, "asked only when network and image are there")
        return
    offer = Offer("aws", region, _MACHINE, 2, GIB, None, True, None, None)
    subnet = next(one for one in found.subnets if one.vpc in found.groups)
    pool = Pool(offer, None, subnet)
    groups = found.groups[subnet.vpc]
    request = LaunchRequest(
        run="check",
        attempt=0,
        token=uuid.uuid4().hex,
        offers=[offer],
        user_data=lambda _: b"#cloud-config\n",
        owner="check",
    )
    blueprint = Blueprint(request, image, settings.role, settings.public_ip)
    ec2 = sessions.ec2(region)
    yield from _fleet(ec2, region, blueprint, groups, pool)
    data = blueprint.data(groups)
    yield _dry(
        "ec2:RunInstances",
        region,
        lambda: ec2.run_instances(DryRun=True, **run_instances.parameters(blueprint, data, pool)),
    )
    if found.own:
        yield from _rules(ec2, region, groups[0])
    yield from _ending(ec2, region)


def _fleet(
    ec2: Any, region: str, blueprint: Blueprint, groups: tuple[str, ...], pool: Pool
) -> Iterator[Check]:
    """DryRun of CreateFleet wants a template that exists, and the policy one with our tag."""
    request = blueprint.request
    name = f"dstack-cloud-check-{request.token}"
    tags = [{"ResourceType": "launch-template", "Tags": as_aws(launch_tags(request))}]
    made = _call(
        "ec2:CreateLaunchTemplate",
        region,
        lambda: ec2.create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData=blueprint.data(groups),
            TagSpecifications=tags,
        ),
    )
    yield made
    if not made.ok:
        yield Check("ec2:CreateFleet", None, "asked only with a launch template")
        return
    try:
        parameters = fleet.fleet_request(request, name, request.token, [pool])
        yield _dry("ec2:CreateFleet", region, lambda: ec2.create_fleet(DryRun=True, **parameters))
    finally:
        deleted = _call(
            "ec2:DeleteLaunchTemplate", region, lambda: templates.delete(ec2, region, name)
        )
    yield deleted


def _rules(ec2: Any, region: str, group: str) -> Iterator[Check]:
    # An address of the documentation's range (RFC 5737): nobody's.
    rule = [network.rule("192.0.2.1/32")]
    yield _dry(
        "ec2:AuthorizeSecurityGroupIngress",
        region,
        lambda: ec2.authorize_security_group_ingress(
            DryRun=True, GroupId=group, IpPermissions=rule
        ),
    )
    yield _dry(
        "ec2:RevokeSecurityGroupIngress",
        region,
        lambda: ec2.revoke_security_group_ingress(DryRun=True, GroupId=group, IpPermissions=rule),
    )


def _ending(ec2: Any, region: str) -> Iterator[Check]:
    name = "ec2:TerminateInstances"
    try:
        alive = machines.listing(ec2, region, Reach(), None)
    except DstackError as error:
        yield Check(name, None, error.message, error.hint)
        return
    if not alive:
        yield Check(name, None, "can be asked only while a machine of ours is there")
        return
    ids = [alive[0].id]
    yield _dry(name, region, lambda: ec2.terminate_instances(DryRun=True, InstanceIds=ids))


def _dry(name: str, region: str, call: Callable[[], Any]) -> Check:
    from botocore.exceptions import ClientError

    def dry() -> None:
        try:
            call()
        except ClientError as error:
            if code_of(error) != "DryRunOperation":
                raise

    return _call(name, region, dry)


def _call(name: str, region: str, call: Callable[[], Any]) -> Check:
    def tell() -> str:
        with translated(name, region):
            call()
        return "allowed"

    return line(name, tell)
