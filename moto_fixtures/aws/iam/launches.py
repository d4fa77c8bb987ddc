"""What launching one machine needs: a permission on each resource that it uses or makes.

docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html (RunInstances,
CreateTags) and docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from moto_fixtures.aws.backends import ACCOUNT
from moto_fixtures.aws.ec2 import placement
from moto_fixtures.aws.iam.policy import Needed

if TYPE_CHECKING:
    from moto_fixtures.aws.ec2.spec import Spec


def tag_context(tags: dict[str, str]) -> dict[str, list[str]]:
    """``aws:RequestTag/*`` and ``aws:TagKeys`` for tags in a request."""
    context = {f"aws:requesttag/{k.lower()}": [v] for k, v in tags.items()}
    if tags:
        context["aws:tagkeys"] = list(tags)
    return context


def resource_tags(tags: dict[str, str]) -> dict[str, list[str]]:
    """``aws:ResourceTag/*`` and its EC2 twin for tags that a resource carries."""
    found = {f"aws:resourcetag/{k.lower()}": [v] for k, v in tags.items()}
    return found | {f"ec2:resourcetag/{k.lower()}": [v] for k, v in tags.items()}


def _own_tags(resource: object) -> dict[str, str]:
    get = getattr(resource, "get_tags", None)
    return {t["key"]: t["value"] for t in get()} if get is not None else {}


def placement_need(
    region: str, action: str, name: str, common: Mapping[str, list[str]] | None = None
) -> Needed:
    """A placement group, named in its ARN, with the tags that it carries."""
    group = placement.of_region(region).get(name)
    context = {"ec2:region": [region], **(common or {})}
    return Needed(
        action,
        f"arn:aws:ec2:{region}:{ACCOUNT}:placement-group/{name}",
        {**context, **resource_tags(group.tags if group else {})},
    )


def launch_needs(spec: Spec, create_action: str) -> list[Needed]:
    """``create_action`` is what ``ec2:CreateAction`` says when tags go on with the launch.

    A fleet's machines are launched by RunInstances on the caller's behalf; so are their tags.
    """
    region = spec.region
    mine, theirs = f"arn:aws:ec2:{region}:{ACCOUNT}:", f"arn:aws:ec2:{region}::"
    common = {
        "ec2:region": [region],
        "aws:requestedregion": [region],
        "ec2:islaunchtemplateresource": ["true" if spec.template else "false"],
    }
    if spec.template:
        common["ec2:launchtemplate"] = [spec.template]
    options = spec.data.get("MetadataOptions") or {}
    profile = [spec.profile.arn] if spec.profile is not None else []
    network = {"ec2:vpc": [f"{mine}vpc/{spec.subnet.vpc_id}"]}
    network["ec2:subnet"] = [f"{mine}subnet/{spec.subnet.id}"]
    instance = {
        **common,
        "ec2:instancetype": [spec.instance_type],
        "ec2:availabilityzone": [spec.zone],
        "ec2:instancemarkettype": ["spot" if spec.spot else "on-demand"],
        "ec2:metadatahttptokens": [str(options.get("HttpTokens", "optional"))],
        "ec2:metadatahttpputresponsehoplimit": [str(options.get("HttpPutResponseHopLimit", 1))],
        "ec2:rootdevicetype": ["ebs"],
        "ec2:tenancy": ["default"],
        **({"ec2:instanceprofile": profile} if profile else {}),
        **tag_context(spec.tags.get("instance", {})),
    }
    needs = [Needed("ec2:RunInstances", f"{mine}instance/*", instance)]
    image = {
        **common,
        "ec2:owner": ["amazon" if spec.image.owner_alias == "amazon" else spec.image.owner_id],
        "ec2:public": [str(spec.image.is_public).lower()],
        **resource_tags(_own_tags(spec.image)),
    }
    needs.append(Needed("ec2:RunInstances", f"{theirs}image/{spec.image.id}", image))
    subnet = {**common, **network, **resource_tags(_own_tags(spec.subnet))}
    needs.append(Needed("ec2:RunInstances", f"{mine}subnet/{spec.subnet.id}", subnet))
    interface = {**common, **network, **tag_context(spec.tags.get("network-interface", {}))}
    needs.append(Needed("ec2:RunInstances", f"{mine}network-interface/*", interface))
    for group in spec.group_ids:
        found = spec.subnet.ec2_backend.get_security_group_from_id(group)
        context = {**common, **network, **resource_tags(_own_tags(found))}
        needs.append(Needed("ec2:RunInstances", f"{mine}security-group/{group}", context))
    for device in spec.devices:
        ebs = device["Ebs"]
        volume = {
            **common,
            "ec2:encrypted": [str(bool(ebs.get("Encrypted"))).lower()],
            "ec2:volumesize": [str(ebs.get("VolumeSize"))],
            "ec2:volumetype": [str(ebs.get("VolumeType"))],
            **tag_context(spec.tags.get("volume", {})),
        }
        needs.append(Needed("ec2:RunInstances", f"{mine}volume/*", volume))
    group_name = placement.name_in(spec.data)
    if group_name:
        needs.append(placement_need(region, "ec2:RunInstances", group_name, common))
    if spec.data.get("KeyName"):
        needs.append(Needed("ec2:RunInstances", f"{mine}key-pair/{spec.data['KeyName']}", common))
    if spec.template:
        template = spec.subnet.ec2_backend.launch_templates[spec.template.rsplit("/", 1)[-1]]
        context = {**common, **resource_tags(_own_tags(template))}
        needs.append(Needed("ec2:RunInstances", spec.template, context))
    if spec.spot:
        context = {**common, **tag_context(spec.tags.get("spot-instances-request", {}))}
        needs.append(Needed("ec2:RunInstances", f"{mine}spot-instances-request/*", context))
    if create_action == "CreateFleet":
        # The reference lists the same resources for CreateFleet: ask for both, to be on the
        # strict side.
        needs += [Needed("ec2:CreateFleet", need.resource, need.context) for need in needs]
    for kind in ("instance", "volume", "network-interface", "spot-instances-request"):
        # Tags that AWS itself puts on need nobody's permission.
        tags = {k: v for k, v in spec.tags.get(kind, {}).items() if not k.startswith("aws:")}
        if tags:
            context = {**common, **tag_context(tags), "ec2:createaction": [create_action]}
            if create_action == "CreateFleet":
                context["ec2:createaction"] = ["RunInstances", "CreateFleet"]
            needs.append(Needed("ec2:CreateTags", f"{mine}{kind}/*", context))
    if spec.role is not None:
        passed = {"iam:passedtoservice": ["ec2.amazonaws.com"]}
        needs.append(Needed("iam:PassRole", spec.role.arn, passed))
    return needs
