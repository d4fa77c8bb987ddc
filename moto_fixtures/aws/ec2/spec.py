"""What one machine is to be: the launch call's parameters and its launch template, merged."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from moto_fixtures.aws import backends
from moto_fixtures.aws.answer import AwsError
from moto_fixtures.aws.backends import ACCOUNT
from moto_fixtures.aws.ec2 import offerings, placement
from moto_fixtures.aws.ec2.images import PUBLIC_IMAGES

USER_DATA_LIMIT = 16384
"""Bytes before encoding (docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html)."""

Tags = dict[str, dict[str, str]]
"""Resource type to its tags."""


@dataclass(frozen=True)
class Spec:
    """A checked launch. ``data`` is the merged parameters, in RunInstances' shape."""

    region: str
    data: dict[str, Any]
    instance_type: str
    image: Any
    subnet: Any
    group_ids: list[str]
    user_data: bytes
    profile: Any
    tags: Tags
    spot: bool
    public: bool
    template: str | None = None
    """The ARN of the launch template, where one was used."""
    devices: list[dict[str, Any]] = field(default_factory=list)

    @property
    def zone(self) -> str:
        return str(self.subnet.availability_zone)

    @property
    def role(self) -> Any:
        roles = self.profile.roles if self.profile is not None else []
        return roles[0] if roles else None

    @property
    def shutdown_behavior(self) -> str:
        return str(self.data.get("InstanceInitiatedShutdownBehavior") or "stop")


def template_of(region: str, spec: dict[str, Any]) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """A launch template's data, its ARN, and its specification with id and version resolved."""
    backend = backends.ec2(region)
    if spec.get("LaunchTemplateId"):
        template = backend.get_launch_template(spec["LaunchTemplateId"])
    else:
        template = backend.get_launch_template_by_name(spec.get("LaunchTemplateName", ""))
    version = template.get_version(spec.get("Version") or "$Default")
    arn = f"arn:aws:ec2:{region}:{ACCOUNT}:launch-template/{template.id}"
    resolved = {
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "Version": str(version.number),
    }
    data = {k: v for k, v in version.data.items() if v is not None}
    return data, arn, resolved


def tags_of(specifications: list[dict[str, Any]] | None) -> Tags:
    """TagSpecifications as resource type → key → value."""
    tags: Tags = {}
    for item in specifications or []:
        mine = tags.setdefault(item.get("ResourceType", ""), {})
        mine.update({t["Key"]: t.get("Value", "") for t in item.get("Tags", [])})
    return tags


def merged_tags(*all_tags: Tags) -> Tags:
    """Later ones win, key by key."""
    result: Tags = {}
    for tags in all_tags:
        for kind, values in tags.items():
            result.setdefault(kind, {}).update(values)
    return result


def resolve(region: str, data: dict[str, Any], tags: Tags, template: str | None = None) -> Spec:
    """Check merged launch parameters against what the region has; raises what EC2 would."""
    backend = backends.ec2(region)
    name = str(data.get("InstanceType") or "m1.small")
    info = offerings.type_info(name)
    image = _image(region, backend, data)
    nic: dict[str, Any] = next(iter(data.get("NetworkInterfaces") or []), {})
    subnet = _subnet(region, backend, data, nic)
    zone = subnet.availability_zone
    if zone not in offerings.offered(region).get(name, ()):
        raise AwsError(
            "Unsupported",
            f"Your requested instance type ({name}) is not supported in your requested "
            f"Availability Zone ({zone}). Please retry your request by not specifying an "
            "Availability Zone or choosing another one.",
        )
    architectures = info["ProcessorInfo"]["SupportedArchitectures"]
    if image.architecture not in architectures:
        raise AwsError(
            "InvalidParameterValue",
            f"The architecture '{','.join(architectures)}' of the specified instance type does "
            f"not match the architecture '{image.architecture}' of the specified AMI. Specify an "
            "instance type and an AMI that have matching architectures, and try again.",
        )
    placement.check(region, data, info)
    market = (data.get("InstanceMarketOptions") or {}).get("MarketType")
    public = nic.get("AssociatePublicIpAddress")
    if public is None:
        public = str(subnet.map_public_ip_on_launch).lower() == "true"
    return Spec(
        region=region,
        data=data,
        instance_type=name,
        image=image,
        subnet=subnet,
        group_ids=_groups(backend, subnet, data, nic),
        user_data=_user_data(data),
        profile=_profile(data),
        tags=tags,
        spot=market == "spot",
        public=str(public).lower() == "true",
        template=template,
        devices=_devices(image, data),
    )


def _image(region: str, backend: Any, data: dict[str, Any]) -> Any:
    wanted_id = str(data.get("ImageId") or "")
    if wanted_id.startswith("resolve:ssm:"):
        parameter = wanted_id.removeprefix("resolve:ssm:")
        known = {image.parameter: image.id_in(region) for image in PUBLIC_IMAGES}
        wanted_id = known.get(parameter, "")
    if not wanted_id:
        raise AwsError("MissingParameter", "The request must contain the parameter ImageId")
    image = backend.amis.get(wanted_id)
    if image is None:
        raise AwsError("InvalidAMIID.NotFound", f"The image id '[{wanted_id}]' does not exist")
    if image.state != "available":
        raise AwsError("InvalidAMIID.Unavailable", f"The image ID '{wanted_id}' is not available")
    return image


def _subnet(region: str, backend: Any, data: dict[str, Any], nic: dict[str, Any]) -> Any:
    wanted_id = data.get("SubnetId") or nic.get("SubnetId")
    if wanted_id:
        return backend.get_subnet(wanted_id)
    zone = (data.get("Placement") or {}).get("AvailabilityZone")
    if zone and zone not in offerings.zones_of(region):
        raise AwsError("InvalidParameterValue", f"Invalid availability zone: [{zone}]")
    defaults = backend.get_default_subnets()
    if not defaults:
        raise AwsError(
            "VPCIdNotSpecified" if backend.get_default_vpc() is None else "MissingInput",
            "No default VPC for this user. GroupName is only supported for EC2-Classic and "
            "default VPC."
            if backend.get_default_vpc() is None
            else "No subnets found for the default VPC. Please specify a subnet.",
        )
    if zone is None:
        offered = offerings.offered(region).get(str(data.get("InstanceType")), ())
        zone = next((z for z in offered if z in defaults), None) or next(iter(defaults))
    if zone not in defaults:
        raise AwsError("InvalidInput", f"No default subnet for availability zone: '{zone}'.")
    return defaults[zone]


def _groups(backend: Any, subnet: Any, data: dict[str, Any], nic: dict[str, Any]) -> list[str]:
    wanted = list(nic.get("Groups") or []) + list(data.get("SecurityGroupIds") or [])
    wanted += list(data.get("SecurityGroups") or [])
    if not wanted:
        return [backend.get_default_security_group(subnet.vpc_id).id]
    found = []
    for name in wanted:
        group = backend.get_security_group_from_id(name) or backend.get_security_group_from_name(
            name, subnet.vpc_id
        )
        if group is None:
            raise AwsError("InvalidGroup.NotFound", f"The security group '{name}' does not exist")
        if group.vpc_id != subnet.vpc_id:
            raise AwsError(
                "InvalidParameter",
                f"Security group {group.id} and subnet {subnet.id} belong to different networks.",
            )
        found.append(group.id)
    return found


def _user_data(data: dict[str, Any]) -> bytes:
    given = data.get("UserData")
    if given is None:
        return b""
    try:
        text = base64.b64decode(str(given), validate=True)
    except binascii.Error:
        raise AwsError(
            "InvalidUserData.Malformed", "Invalid BASE64 encoding of user data."
        ) from None
    if len(text) > USER_DATA_LIMIT:
        raise AwsError("InvalidParameterValue", "User data is limited to 16384 bytes")
    return text


def _profile(data: dict[str, Any]) -> Any:
    wanted = data.get("IamInstanceProfile")
    if not wanted:
        return None
    for profile in list(backends.iam().instance_profiles.values()):
        if wanted.get("Arn") == profile.arn or wanted.get("Name") == profile.name:
            return profile
    key, value = ("name", wanted["Name"]) if wanted.get("Name") else ("arn", wanted.get("Arn"))
    raise AwsError(
        "InvalidParameterValue",
        f"Value ({value}) for parameter iamInstanceProfile.{key} is invalid. "
        f"Invalid IAM Instance Profile {key}",
    )


def _devices(image: Any, data: dict[str, Any]) -> list[dict[str, Any]]:
    """Block devices: the image's own, as the launch changes them. Sizes in GB."""
    own = {d["DeviceName"]: dict(d["Ebs"]) for d in image.block_device_mappings}
    smallest = {name: ebs["VolumeSize"] for name, ebs in own.items()}
    for mapping in data.get("BlockDeviceMappings") or []:
        name = mapping.get("DeviceName", "")
        asked = {k: v for k, v in (mapping.get("Ebs") or {}).items() if v is not None}
        own[name] = {"DeleteOnTermination": True, **own.get(name, {}), **asked}
        size = int(own[name].get("VolumeSize") or 0)
        if size < smallest.get(name, 1):
            raise AwsError(
                "InvalidBlockDeviceMapping",
                f"Volume of size {size}GB is smaller than snapshot "
                f"'{own[name].get('SnapshotId')}', expect size >= {smallest.get(name, 1)}GB",
            )
    return [{"DeviceName": name, "Ebs": ebs} for name, ebs in own.items()]
