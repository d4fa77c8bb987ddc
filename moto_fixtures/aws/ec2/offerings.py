"""Which instance types there are, and where each is offered: moto's data, indexed once."""

from __future__ import annotations

from functools import cache
from typing import Any

from moto_fixtures.aws.answer import AwsError
from moto_fixtures.aws.ec2.older_types import OFFERED_IN, older_types
from moto_fixtures.shared.shares import share

TypeInfo = dict[str, Any]


@cache
def all_types() -> dict[str, TypeInfo]:
    """Every instance type by name, in the shape of DescribeInstanceTypes."""
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    return older_types(INSTANCE_TYPES["g4dn.xlarge"]) | INSTANCE_TYPES


@cache
def zones_of(region: str) -> dict[str, str]:
    """Availability zones of a region: name to id."""
    from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend

    return {z.name: z.zone_id for z in RegionsAndZonesBackend.zones.get(region, [])}


@cache
def offered(region: str) -> dict[str, tuple[str, ...]]:
    """Instance type to the zones that offer it, both sorted; types without data left out."""
    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

    zones = zones_of(region)
    known = all_types()
    found: dict[str, set[str]] = {}
    for row in INSTANCE_TYPE_OFFERINGS["availability-zone"].get(region, []):
        if row["Location"] in zones and row["InstanceType"] in known:
            found.setdefault(row["InstanceType"], set()).add(row["Location"])
    if region in OFFERED_IN:
        for name in set(older_types(known["g4dn.xlarge"])) - set(found):
            # Not in every zone, as with scarce types; always in the first.
            found[name] = {z for i, z in enumerate(sorted(zones)) if i < 2 or share(name, z) > 0.5}
    return {name: tuple(sorted(found[name])) for name in sorted(found)}


def type_info(name: str) -> TypeInfo:
    """The data of a type; an unknown name is the service's InvalidParameterValue."""
    info = all_types().get(name)
    if info is None:
        raise AwsError("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")
    return info


def vcpus(name: str) -> int:
    """Virtual CPUs of a type."""
    return int(type_info(name)["VCpuInfo"]["DefaultVCpus"])


def gpus(name: str) -> tuple[int, str | None]:
    """How many GPUs, and the name of the first kind."""
    found = (type_info(name).get("GpuInfo") or {}).get("Gpus") or []
    return sum(int(g.get("Count") or 0) for g in found), found[0].get("Name") if found else None
