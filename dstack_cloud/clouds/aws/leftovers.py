"""What we made in the account and may have left there."""

from __future__ import annotations

from typing import Any

from dstack_cloud.clouds.aws import machines, network, placement, templates
from dstack_cloud.clouds.aws.errors import translated
from dstack_cloud.clouds.aws.machines import Reach
from dstack_cloud.clouds.aws.names import RUN, as_dict, attempt_in, of_store
from dstack_cloud.clouds.base import PLACEMENT, Leftover
from dstack_cloud.errors import InternalError

MACHINE, TEMPLATE, RULE, NODES_RULE = "machine", "launch-template", "ssh-rule", "nodes-rule"


def listing(ec2: Any, region: str, reach: Reach, store: str | None) -> list[Leftover]:
    """Machines, launch templates, placement groups and rules of a store's runs in the region.

    A rule belongs to no run and no store: it counts as left only where no machine of any is.
    """
    alive = machines.listing(ec2, region, reach, store)
    found = [
        Leftover(
            "aws",
            region,
            MACHINE,
            machine.id,
            machine.run,
            machine.attempt,
            f"{machine.machine} {machine.zone or region}, {machine.state}",
        )
        for machine in alive
    ]
    found += _templates(ec2, region, store)
    found += placement.listing(ec2, region, store)
    if not machines.listing(ec2, region, reach, None):
        groups = network.own_groups(ec2, region)
        found += [
            Leftover("aws", region, RULE, f"{group} {cidr}", detail=description)
            for group, cidr, description in network.ssh_rules(groups)
        ]
        found += [
            Leftover("aws", region, NODES_RULE, group) for group in network.nodes_rules(groups)
        ]
    return found


def _templates(ec2: Any, region: str, store: str | None) -> list[Leftover]:
    with translated("listing the launch templates", region):
        pages = ec2.get_paginator("describe_launch_templates").paginate(Filters=of_store(store))
        listed = [template for page in pages for template in page["LaunchTemplates"]]
    found = []
    for template in listed:
        tags = as_dict(template.get("Tags"))
        name = template["LaunchTemplateName"]
        found.append(Leftover("aws", region, TEMPLATE, name, tags.get(RUN), attempt_in(tags)))
    return found


def remove(ec2: Any, leftover: Leftover) -> None:
    """Remove one; harmless when it is gone already."""
    if leftover.kind == MACHINE:
        machines.terminate(ec2, leftover.region, [leftover.id])
    elif leftover.kind == TEMPLATE:
        templates.delete(ec2, leftover.region, leftover.id)
    elif leftover.kind == PLACEMENT:
        placement.delete(ec2, leftover.region, leftover.id, placement.GOES_WITHIN_S)
    elif leftover.kind == RULE:
        group, cidr = leftover.id.split(" ", 1)
        network.expel(ec2, leftover.region, group, cidr)
    elif leftover.kind == NODES_RULE:
        network.expel_each_other(ec2, leftover.region, leftover.id)
    else:
        raise InternalError(f"AWS has no leftover of the kind '{leftover.kind}'")
