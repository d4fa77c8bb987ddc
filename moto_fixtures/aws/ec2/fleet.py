"""CreateFleet(type=instant): every override a pool, an error for each that gave nothing.

docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFleet.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moto_fixtures.aws import backends, handlers
from moto_fixtures.aws.answer import Answer, AwsError
from moto_fixtures.aws.backends import ACCOUNT
from moto_fixtures.aws.ec2 import admission, offerings
from moto_fixtures.aws.ec2.instances import USER
from moto_fixtures.aws.ec2.run import start
from moto_fixtures.aws.ec2.spec import (
    Spec,
    Tags,
    merged_tags,
    resolve,
    tags_of,
    template_of,
)
from moto_fixtures.aws.iam.launches import launch_needs, resource_tags
from moto_fixtures.aws.iam.policy import Needed
from moto_fixtures.aws.prices import on_demand
from moto_fixtures.aws.request import Request
from moto_fixtures.shared.faults import Fault

_BY_PRIORITY = {"prioritized", "capacity-optimized-prioritized"}
_STRATEGIES = {
    True: {
        "lowest-price",
        "diversified",
        "capacity-optimized",
        "capacity-optimized-prioritized",
        "price-capacity-optimized",
    },
    False: {"lowest-price", "prioritized"},
}


@dataclass(frozen=True)
class Pool:
    """One override of one launch template: where a machine might come from."""

    data: dict[str, Any]
    template_tags: Tags
    template_arn: str
    template: dict[str, Any]
    override: dict[str, Any]

    def echo(self) -> dict[str, Any]:
        """LaunchTemplateAndOverrides, as the answer repeats it."""
        spec = {"LaunchTemplateId": self.template["LaunchTemplateId"]}
        spec["Version"] = self.template["Version"]
        return {"LaunchTemplateSpecification": spec, "Overrides": self.override}


def create_fleet(request: Request) -> Answer:
    """An instant fleet; other types are left to moto."""
    params = request.params
    if params.get("Type", "maintain") != "instant":
        raise AwsError("InvalidParameterValue", "the emulated EC2 creates instant fleets only")
    pools = _pools(request)
    arns = {pool.template_arn for pool in pools}
    fleet_tags = tags_of(params.get("TagSpecifications"))
    unknown = sorted(set(fleet_tags) - {"fleet", "instance", "volume", "network-interface"})
    if unknown:
        raise AwsError(
            "InvalidTagSpecificationResourceType",
            f"'{unknown[0]}' is not a valid taggable resource type for this operation.",
        )
    request.authorize(_fleet_needs(request.region, arns, fleet_tags.get("fleet", {})))
    if str(params.get("DryRun", "")).lower() == "true":
        raise handlers.dry_run()
    return request.emulator.tokens.once(
        request.region, "CreateFleet", params, lambda: _launch(request, pools, fleet_tags)
    )


def _fleet_needs(region: str, templates: set[str], tags: dict[str, str]) -> list[Needed]:
    fleet = f"arn:aws:ec2:{region}:{ACCOUNT}:fleet/*"
    context = {"aws:requesttag/" + k.lower(): [v] for k, v in tags.items()}
    context["ec2:region"] = [region]
    needs = [Needed("ec2:CreateFleet", fleet, context)]
    for arn in templates:
        held = backends.ec2(region).launch_templates[arn.rsplit("/", 1)[-1]].get_tags()
        own = resource_tags({t["key"]: t["value"] for t in held})
        needs.append(Needed("ec2:CreateFleet", arn, {"ec2:region": [region], **own}))
    if tags:
        action = {"ec2:createaction": ["CreateFleet"]}
        needs.append(Needed("ec2:CreateTags", fleet, {**context, **action}))
    return needs


def _pools(request: Request) -> list[Pool]:
    pools = []
    for config in request.params.get("LaunchTemplateConfigs") or []:
        data, arn, resolved = template_of(
            request.region, config.get("LaunchTemplateSpecification") or {}
        )
        tags = tags_of(data.pop("TagSpecifications", None))
        for override in config.get("Overrides") or [{}]:
            merged = dict(data)
            for key in ("InstanceType", "SubnetId", "ImageId", "BlockDeviceMappings"):
                if override.get(key):
                    merged[key] = override[key]
            if override.get("AvailabilityZone"):
                merged["Placement"] = {"AvailabilityZone": override["AvailabilityZone"]}
            elif override.get("Placement"):
                merged["Placement"] = override["Placement"]
            pools.append(Pool(merged, tags, arn, resolved, override))
    if not pools:
        raise AwsError("MissingParameter", "The request must contain LaunchTemplateConfigs")
    return pools


def _capacity(params: dict[str, Any]) -> list[bool]:
    """One item for each machine wanted: whether it is spot."""
    target = params.get("TargetCapacitySpecification") or {}
    total = int(target.get("TotalTargetCapacity") or 0)
    if total < 1:
        raise AwsError("InvalidParameterValue", "TotalTargetCapacity must be at least 1")
    spot = int(target.get("SpotTargetCapacity") or 0)
    demand = int(target.get("OnDemandTargetCapacity") or 0)
    rest = max(0, total - spot - demand)
    if target.get("DefaultTargetCapacityType", "on-demand") == "spot":
        spot += rest
    else:
        demand += rest
    return [False] * demand + [True] * spot


def _least(params: dict[str, Any], spot: bool, wanted: int) -> int:
    """How many machines a pool must give for any to be launched: all or none where a minimum is
    asked for, which takes one instance type in one zone."""
    options = params.get("SpotOptions" if spot else "OnDemandOptions") or {}
    least = int(options.get("MinTargetCapacity") or 0)
    single = [
        str(options.get(name, "")).lower() == "true"
        for name in ("SingleAvailabilityZone", "SingleInstanceType")
    ]
    if least and not any(single):
        raise AwsError(
            "InvalidParameterCombination",
            "MinTargetCapacity needs SingleAvailabilityZone or SingleInstanceType.",
        )
    if any(single) and not (all(single) and least == wanted):
        raise AwsError(
            "UnsupportedOperation",
            "the emulated EC2 knows one type in one zone with a minimum of all, or none of these",
        )
    return least


def _ranked(request: Request, pools: list[Pool], spot: bool) -> list[Pool]:
    params = request.params
    options = params.get("SpotOptions" if spot else "OnDemandOptions") or {}
    strategy = options.get("AllocationStrategy") or "lowest-price"
    if strategy not in _STRATEGIES[spot]:
        raise AwsError("InvalidParameterValue", f"'{strategy}' is not a valid AllocationStrategy.")
    if strategy in _BY_PRIORITY:
        last = float("inf")

        def priority(pool: Pool) -> float:
            given = pool.override.get("Priority")
            return last if given is None else float(given)

        return sorted(pools, key=priority)
    return sorted(pools, key=lambda pool: _price(request, pool, spot))


def _price(request: Request, pool: Pool, spot: bool) -> float:
    name = str(pool.data.get("InstanceType"))
    if name not in offerings.all_types():
        return float("inf")
    if not spot:
        return float(on_demand(request.region, name))
    zones = offerings.zones_of(request.region)
    zone = (pool.data.get("Placement") or {}).get("AvailabilityZone")
    if pool.data.get("SubnetId"):
        subnet = backends.ec2(request.region).subnets
        zone = next((z for z, found in subnet.items() if pool.data["SubnetId"] in found), zone)
    zone = zone if zone in zones else next(iter(zones))
    return float(request.emulator.spot_prices.current(request.region, zone, name))


def _launch(request: Request, pools: list[Pool], fleet_tags: Tags) -> Answer:
    from moto.ec2.utils import random_fleet_id

    fleet_id = str(random_fleet_id())
    instances: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    faults = request.emulator.faults.pool_faults("CreateFleet")
    used: list[Fault] = []
    wanted = _capacity(request.params)
    for spot in sorted(set(wanted)):
        left = wanted.count(spot)
        least = _least(request.params, spot, left)
        for pool in _ranked(request, pools, spot):
            if left == 0:
                break
            made, error = _fill(request, pool, spot, left, fleet_tags, fleet_id, faults, used)
            if len(made) < least:
                # One pool is one type in one zone: what it gives must do alone.
                for instance in made:
                    request.emulator.instances.end(instance, "terminated", USER)
                made = []
            left -= len(made)
            life = "spot" if spot else "on-demand"
            echo = pool.echo()
            if made:
                instances.append(
                    {
                        "LaunchTemplateAndOverrides": echo,
                        "Lifecycle": life,
                        "InstanceIds": [i.id for i in made],
                        "InstanceType": made[0].instance_type,
                    }
                )
            if error is not None:
                errors.append(
                    {
                        "LaunchTemplateAndOverrides": echo,
                        "Lifecycle": life,
                        "ErrorCode": error.code,
                        "ErrorMessage": error.message,
                    }
                )
    request.emulator.faults.count(used)
    return request.answer({"FleetId": fleet_id, "Errors": errors, "Instances": instances})


def _fill(
    request: Request,
    pool: Pool,
    spot: bool,
    wanted: int,
    fleet_tags: Tags,
    fleet_id: str,
    faults: list[Fault],
    used: list[Fault],
) -> tuple[list[Any], AwsError | None]:
    """Machines from one pool: as many as it gives, and why it gave no more."""
    from moto.core.exceptions import ServiceException

    made: list[Any] = []
    options = request.params.get("SpotOptions") or {}
    max_price = pool.override.get("MaxPrice") or options.get("MaxTotalPrice")
    try:
        spec = _spec(request, pool, spot, fleet_tags, fleet_id)
        request.authorize(launch_needs(spec, "CreateFleet"))
        while len(made) < wanted:
            fault = admission.struck(faults, request, spec)
            if fault is not None:
                if fault not in used:
                    used.append(fault)
                message = fault.message or admission.capacity_message(spec)
                raise AwsError(fault.error or "InternalError", message)
            admission.check_pool(request, spec, max_price)
            made.append(start(request, spec, request.params.get("ClientToken"), max_price))
    except ServiceException as error:
        return made, AwsError(error.code, error.message)
    except AwsError as error:
        return made, error
    return made, None


def _spec(request: Request, pool: Pool, spot: bool, fleet_tags: Tags, fleet_id: str) -> Spec:
    data = dict(pool.data)
    data["InstanceMarketOptions"] = {"MarketType": "spot"} if spot else {}
    managed = {
        "aws:ec2:fleet-id": fleet_id,
        "aws:ec2launchtemplate:id": pool.template["LaunchTemplateId"],
        "aws:ec2launchtemplate:version": pool.template["Version"],
    }
    asked = {kind: tags for kind, tags in fleet_tags.items() if kind != "fleet"}
    tags = merged_tags(pool.template_tags, asked, {"instance": managed})
    return resolve(request.region, data, tags, pool.template_arn)


HANDLERS = {"CreateFleet": create_fleet}
