"""Cluster placement groups: the nodes of a run near each other, where their type can be.

A group for each launch. One for all would bind a run to the zone of another's machines, for a
cluster is in one zone (docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-strategies.html). It
is on no bill, and can go only when its machines have gone.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Sequence
from typing import Any

from dstack_cloud.clouds.aws.errors import code_of, translated
from dstack_cloud.clouds.aws.groups import Group, Pool
from dstack_cloud.clouds.aws.names import (
    RUN,
    as_aws,
    as_dict,
    attempt_in,
    launch_tags,
    of_store,
    part_token,
    template_name,
)
from dstack_cloud.clouds.base import PLACEMENT, LaunchRequest, Leftover
from dstack_cloud.errors import TryAgainError

_EXISTS = "InvalidPlacementGroup.Duplicate"
# docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
_NOT_YET = "InvalidPlacementGroup.InUse"
_POLL_S = 1.0
GOES_WITHIN_S = 120.0
"""What machines that are being terminated may take."""


class Placement:
    """The group of a launch of several machines: made when a fleet first needs it."""

    def __init__(self, ec2: Any, region: str, request: LaunchRequest) -> None:
        self._ec2 = ec2
        self._region = region
        self._request = request
        self._made: str | None = None

    def parts(
        self, chosen: Sequence[tuple[Group, list[Pool]]]
    ) -> list[tuple[Group, list[Pool], bool]]:
        """The groups' pools in the parts that are asked for one by one, each with whether its types
        can be placed together: a group is one part, where only one machine is wanted."""
        if self._request.nodes == 1:
            return [(group, pools, False) for group, pools in chosen]
        types = {pool.offer.machine for _, pools in chosen for pool in pools}
        able = clustering(self._ec2, self._region, types)
        return [(group, *part) for group, pools in chosen for part in split(pools, able)]

    def name(self) -> str:
        """The name of the group, which is there."""
        if self._made is None:
            name = template_name(self._request, part_token(self._request.token, "placement"))
            # Whatever comes of the call, a group of that name is ours to delete.
            self._made = name
            _make(self._ec2, self._region, name, self._request)
        return self._made

    def clear(self) -> None:
        """Nothing was launched into it, as far as is known: it goes. May be repeated."""
        if self._made is not None:
            with contextlib.suppress(TryAgainError):
                delete(self._ec2, self._region, self._made)
            self._made = None


def split(pools: Sequence[Pool], able: set[str]) -> list[tuple[list[Pool], bool]]:
    """Those whose type can be in a cluster, and those whose can't, the best pool's first: pure."""
    if not pools:
        return [([], False)]
    parts = [
        ([one for one in pools if (one.offer.machine in able) is near], near)
        for near in (True, False)
    ]
    if pools[0].offer.machine not in able:
        parts.reverse()
    return [(part, near) for part, near in parts if part]


def clustering(ec2: Any, region: str, types: Iterable[str]) -> set[str]:
    """Those of the types that can be in a cluster placement group."""
    filters = [{"Name": "instance-type", "Values": sorted(types)}]
    with translated("reading the instance types", region):
        pages = ec2.get_paginator("describe_instance_types").paginate(Filters=filters)
        return {
            one["InstanceType"]
            for page in pages
            for one in page["InstanceTypes"]
            if "cluster" in one.get("PlacementGroupInfo", {}).get("SupportedStrategies", ())
        }


def _make(ec2: Any, region: str, name: str, request: LaunchRequest) -> None:
    from botocore.exceptions import ClientError

    with translated("making the placement group", region):
        try:
            ec2.create_placement_group(
                GroupName=name,
                Strategy="cluster",
                TagSpecifications=[
                    {"ResourceType": "placement-group", "Tags": as_aws(launch_tags(request))}
                ],
            )
        except ClientError as error:
            if code_of(error) != _EXISTS:
                raise


def delete(ec2: Any, region: str, name: str, within_s: float = 0.0) -> None:
    """Delete a group; harmless when it is gone already. TryAgainError while machines are in it,
    which may take so many seconds to go.

    What is gone has no tags, so a policy that asks for ours denies the call instead of letting
    EC2 say that it is not known: whether it is there is looked up.
    """
    from botocore.exceptions import ClientError

    until = time.monotonic() + within_s
    while True:
        with translated("deleting the placement group", region):
            try:
                ec2.delete_placement_group(GroupName=name)
                return
            except ClientError as error:
                filters = [{"Name": "group-name", "Values": [name]}]
                if not ec2.describe_placement_groups(Filters=filters)["PlacementGroups"]:
                    return
                if code_of(error) != _NOT_YET:
                    raise
        if time.monotonic() >= until:
            words = f"machines are still in the placement group {name}"
            raise TryAgainError(words, "dstack-cloud gc removes it when they have gone")
        time.sleep(_POLL_S)


def listing(ec2: Any, region: str, store: str | None) -> list[Leftover]:
    """The groups of a store's runs in the region."""
    with translated("listing the placement groups", region):
        found = ec2.describe_placement_groups(Filters=of_store(store))["PlacementGroups"]
    return [
        Leftover("aws", region, PLACEMENT, one["GroupName"], tags.get(RUN), attempt_in(tags))
        for one in found
        for tags in [as_dict(one.get("Tags"))]
        if one.get("State") not in ("deleting", "deleted")
    ]
