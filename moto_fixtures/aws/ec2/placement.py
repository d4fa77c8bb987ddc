"""Placement groups, which moto has not: made, told, deleted, and what may be launched into one.

docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreatePlacementGroup.html, and for the rules
docs.aws.amazon.com/AWSEC2/latest/UserGuide/limitations-placement-groups.html.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from moto_fixtures.aws import backends
from moto_fixtures.aws.answer import Answer, AwsError
from moto_fixtures.aws.backends import ACCOUNT
from moto_fixtures.aws.request import Request

_STRATEGIES = ("cluster", "partition", "spread")


@dataclass
class Group:
    """One placement group of a region."""

    name: str
    strategy: str
    tags: dict[str, str]
    id: str = field(default_factory=lambda: f"pg-{uuid4().hex[:17]}")

    def shown(self, region: str) -> dict[str, Any]:
        return {
            "GroupName": self.name,
            "State": "available",
            "Strategy": self.strategy,
            "GroupId": self.id,
            "GroupArn": f"arn:aws:ec2:{region}:{ACCOUNT}:placement-group/{self.name}",
            "Tags": [{"Key": k, "Value": v} for k, v in self.tags.items()],
        }


_KEPT: dict[str, dict[str, Group]] = {}


def of_region(region: str) -> dict[str, Group]:
    """The groups of a region by name."""
    return _KEPT.setdefault(region, {})


def name_in(data: dict[str, Any]) -> str | None:
    """The group that a launch names, if it does."""
    return (data.get("Placement") or {}).get("GroupName") or None


def check(region: str, data: dict[str, Any], info: dict[str, Any]) -> None:
    """Raises what EC2 would where the group is not there, or not for this type."""
    name = name_in(data)
    if name is None:
        return
    group = of_region(region).get(name)
    if group is None:
        raise _unknown(name)
    if group.strategy not in info.get("PlacementGroupInfo", {}).get("SupportedStrategies", ()):
        raise AwsError(
            "InvalidParameterCombination",
            f"{group.strategy.capitalize()} placement groups are not supported by the "
            f"'{info['InstanceType']}' instance type. Specify a supported instance type or change "
            "the placement group strategy, and try again.",
        )


def _unknown(name: str) -> AwsError:
    return AwsError("InvalidPlacementGroup.Unknown", f"The Placement Group '{name}' is unknown.")


def create(request: Request) -> Answer:
    params = request.params
    name, strategy = str(params.get("GroupName") or ""), str(params.get("Strategy") or "cluster")
    if not 0 < len(name) <= 255 or not name.isascii():
        raise AwsError("InvalidParameterValue", f"Value ({name}) for parameter groupName")
    if strategy not in _STRATEGIES:
        raise AwsError("InvalidParameterValue", f"Value ({strategy}) for parameter strategy")
    with request.emulator.instances.lock(request.region):
        groups = of_region(request.region)
        if name in groups:
            raise AwsError(
                "InvalidPlacementGroup.Duplicate", f"The Placement Group '{name}' already exists."
            )
        groups[name] = Group(name, strategy, _tags(params.get("TagSpecifications")))
    return request.answer({"PlacementGroup": groups[name].shown(request.region)})


def _tags(specifications: list[dict[str, Any]] | None) -> dict[str, str]:
    return {
        tag["Key"]: tag.get("Value", "")
        for one in specifications or []
        if one.get("ResourceType") == "placement-group"
        for tag in one.get("Tags", [])
    }


def describe(request: Request) -> Answer:
    """Filters: ``group-name``, ``tag-key``, ``tag:KEY``."""
    groups = of_region(request.region)
    wanted = request.params.get("GroupNames") or list(groups)
    for name in wanted:
        if name not in groups:
            raise _unknown(name)
    found = [groups[name] for name in wanted]
    for one in request.params.get("Filters") or []:
        found = [group for group in found if _passes(group, one["Name"], one["Values"])]
    return request.answer({"PlacementGroups": [group.shown(request.region) for group in found]})


def _passes(group: Group, name: str, values: list[str]) -> bool:
    if name == "group-name":
        return group.name in values
    if name == "tag-key":
        return bool(set(group.tags) & set(values))
    if name.startswith("tag:"):
        return group.tags.get(name.removeprefix("tag:")) in values
    raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid")


def delete(request: Request) -> Answer:
    """Refused as long as an instance in it is not terminated."""
    name = str(request.params.get("GroupName") or "")
    with request.emulator.instances.lock(request.region):
        if name not in of_region(request.region):
            raise _unknown(name)
        for instance in backends.ec2(request.region).all_instances():
            if (
                instance.state != "terminated"
                and getattr(instance.placement, "group_name", None) == name
            ):
                raise AwsError(
                    "InvalidPlacementGroup.InUse",
                    f"The placement group '{name}' is in use and may not be deleted.",
                )
        del of_region(request.region)[name]
    return request.answer({"Return": True})


HANDLERS = {
    "CreatePlacementGroup": create,
    "DescribePlacementGroups": describe,
    "DeletePlacementGroup": delete,
}
