"""Which resources a call names, and what is known of them: the right half of a permission."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from moto_fixtures.aws import backends
from moto_fixtures.aws.backends import ACCOUNT
from moto_fixtures.aws.iam.launches import placement_need, resource_tags, tag_context
from moto_fixtures.aws.iam.policy import Needed

if TYPE_CHECKING:
    from moto_fixtures.aws.iam.permissions import Targets
    from moto_fixtures.aws.request import Request

_KIND_OF_ID = {
    "i": "instance",
    "lt": "launch-template",
    "sg": "security-group",
    "subnet": "subnet",
    "vpc": "vpc",
    "vol": "volume",
    "eni": "network-interface",
    "ami": "image",
    "snap": "snapshot",
    "fleet": "fleet",
    "sir": "spot-instances-request",
    "sgr": "security-group-rule",
}


def _list(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(v) for v in value] if isinstance(value, list | tuple) else [str(value)]


def _request_tags(params: dict[str, Any], kind: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for item in params.get("TagSpecifications") or []:
        if item.get("ResourceType") == kind:
            tags.update({t["Key"]: t.get("Value", "") for t in item.get("Tags", [])})
    return tags


def _ec2_need(request: Request, action: str, kind: str, resource_id: str) -> Needed:
    region = request.region
    owner = "" if kind in ("image", "snapshot") else ACCOUNT
    backend = backends.ec2(region)
    tags = {t["key"]: t["value"] for t in backend.describe_tags({"resource-id": [resource_id]})}
    context = {"ec2:region": [region], **resource_tags(tags)}
    if kind == "instance":
        context["ec2:instanceid"] = [resource_id]
        profile = backend.iam_instance_profile_associations.get(resource_id)
        if profile is not None:
            context["ec2:instanceprofile"] = [profile.iam_instance_profile.arn]
    return Needed(action, f"arn:aws:ec2:{region}:{owner}:{kind}/{resource_id}", context)


def anywhere(request: Request, action: str) -> list[Needed]:
    """Calls that know no resource."""
    return [Needed(action, "*")]


def existing(kind: str, parameter: str) -> Targets:
    """EC2 resources named by a parameter, with the tags that they carry."""

    def where(request: Request, action: str) -> list[Needed]:
        ids = _list(request.params.get(parameter))
        if not ids:
            return [Needed(action, f"arn:aws:ec2:{request.region}:{ACCOUNT}:{kind}/*")]
        return [_ec2_need(request, action, kind, resource_id) for resource_id in ids]

    return where


def tagged(request: Request, action: str) -> list[Needed]:
    """CreateTags and DeleteTags: any resource, with the tags asked for."""
    tags = {t["Key"]: t.get("Value", "") for t in request.params.get("Tags") or []}
    needs = []
    for resource_id in _list(request.params.get("Resources")):
        kind = _KIND_OF_ID.get(resource_id.rsplit("-", 1)[0], "*")
        need = _ec2_need(request, action, kind, resource_id)
        needs.append(Needed(action, need.resource, {**need.context, **tag_context(tags)}))
    return needs


def created(kind: str, within: str | None = None, parameter: str | None = None) -> Targets:
    """A new EC2 resource (in another one), and the tags that go on with its creation."""

    def where(request: Request, action: str) -> list[Needed]:
        arn = f"arn:aws:ec2:{request.region}:{ACCOUNT}:{kind}/*"
        tags = _request_tags(request.params, kind)
        context = {"ec2:region": [request.region], **tag_context(tags)}
        needs = [Needed(action, arn, context)]
        outer = request.params.get(parameter) if parameter else None
        if within and outer:
            needs.append(_ec2_need(request, action, within, str(outer)))
        if tags:
            by = {"ec2:createaction": [request.call.action]}
            needs.append(Needed("ec2:CreateTags", arn, {**context, **by}))
        return needs

    return where


def imaged(request: Request, action: str) -> list[Needed]:
    """The instance, the image and snapshots that are to be, and their tags."""
    needs = [_ec2_need(request, action, "instance", str(request.params.get("InstanceId") or "*"))]
    for kind in ("image", "snapshot"):
        arn = f"arn:aws:ec2:{request.region}::{kind}/*"
        tags = _request_tags(request.params, kind)
        context = {"ec2:region": [request.region], **tag_context(tags)}
        needs.append(Needed(action, arn, context))
        if tags:
            by = {"ec2:createaction": [request.call.action]}
            needs.append(Needed("ec2:CreateTags", arn, {**context, **by}))
    return needs


def template(request: Request, action: str) -> list[Needed]:
    """A launch template by id or name; one that is not there is moto's to report."""
    resource_id, name = (
        request.params.get("LaunchTemplateId"),
        request.params.get("LaunchTemplateName"),
    )
    if resource_id is None:
        resource_id = backends.ec2(request.region).launch_template_name_to_ids.get(name, "*")
    return [_ec2_need(request, action, "launch-template", str(resource_id))]


def placement_group(request: Request, action: str) -> list[Needed]:
    """A placement group by name, with the tags that it carries."""
    return [placement_need(request.region, action, str(request.params.get("GroupName") or "*"))]


def iam(kind: str, parameter: str) -> Targets:
    """A role or instance profile, with the path that it has or is to have."""

    def where(request: Request, action: str) -> list[Needed]:
        return [Needed(action, _iam_arn(request, kind, parameter))]

    return where


def _iam_arn(request: Request, kind: str, parameter: str) -> str:
    name = str(request.params.get(parameter, "*"))
    backend = backends.iam()
    held = backend.roles.values() if kind == "role" else backend.instance_profiles.values()
    found = next((item for item in held if item.name == name), None)
    if found is not None:
        return str(found.arn)
    path = str(request.params.get("Path") or "/")
    return f"arn:aws:iam::{ACCOUNT}:{kind}{path}{name}"


def role_into_profile(request: Request, action: str) -> list[Needed]:
    """The profile, and the right to hand the role on."""
    profile = _iam_arn(request, "instance-profile", "InstanceProfileName")
    role = _iam_arn(request, "role", "RoleName")
    passed = {"iam:passedtoservice": ["ec2.amazonaws.com"]}
    return [Needed(action, profile), Needed("iam:PassRole", role, passed)]


def service_linked_role(request: Request, action: str) -> list[Needed]:
    """The role that a service is to have."""
    service = str(request.params.get("AWSServiceName", "*"))
    arn = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{service}/AWSServiceRoleFor*"
    if service == "spot.amazonaws.com":
        arn = arn.replace("AWSServiceRoleFor*", "AWSServiceRoleForEC2Spot")
    return [Needed(action, arn, {"iam:awsservicename": [service]})]


def assumed(request: Request, action: str) -> list[Needed]:
    """The role to be assumed: where its trust policy names the caller, nothing more is needed."""
    from moto_fixtures.aws.sts import named_by

    if named_by(request):
        return []
    return [Needed(action, str(request.params.get("RoleArn", "*")))]


def _bucket_context(request: Request) -> dict[str, list[str]]:
    context = {}
    for parameter in ("prefix", "delimiter", "max-keys"):
        value = request.params.get(parameter)
        if value is not None:
            context[f"s3:{parameter}"] = [str(value)]
    return context


def bucket(request: Request, action: str) -> list[Needed]:
    """A bucket as a whole."""
    arn = f"arn:aws:s3:::{request.params.get('Bucket', '*')}"
    return [Needed(action, arn, _bucket_context(request))]


def _object_arn(request: Request) -> str:
    return f"arn:aws:s3:::{request.params.get('Bucket')}/{request.params.get('Key')}"


def one_object(request: Request, action: str) -> list[Needed]:
    """One object."""
    return [Needed(action, _object_arn(request))]


def put(request: Request, action: str) -> list[Needed]:
    """A write; one that compares with what is there must be allowed to read it too."""
    needs = one_object(request, action)
    if request.call.header("if-match"):
        needs += one_object(request, "s3:GetObject")
    if request.call.header("x-amz-tagging"):
        needs += one_object(request, "s3:PutObjectTagging")
    if request.call.header("x-amz-acl"):
        needs += one_object(request, "s3:PutObjectAcl")
    return needs


def copy(request: Request, action: str) -> list[Needed]:
    """The object written, and the one read."""
    source = unquote(request.call.header("x-amz-copy-source") or "").lstrip("/")
    read = Needed("s3:GetObject", f"arn:aws:s3:::{source.partition('?')[0]}")
    return [*one_object(request, action), read]


def objects(request: Request, action: str) -> list[Needed]:
    """Each object that a DeleteObjects names."""
    bucket_name = request.params.get("Bucket")
    keys = re.findall(rb"<Key>(.*?)</Key>", request.call.body or b"", re.DOTALL)
    from html import unescape

    return [Needed(action, f"arn:aws:s3:::{bucket_name}/{unescape(key.decode())}") for key in keys]


def parameters(request: Request, action: str) -> list[Needed]:
    """SSM parameters; those that AWS publishes belong to no account."""
    params = request.params
    names = _list(params.get("Name") or params.get("Names") or params.get("Path"))
    needs = []
    for name in names:
        owner = "" if name.startswith("/aws/") else ACCOUNT
        arn = f"arn:aws:ssm:{request.region}:{owner}:parameter/{name.lstrip('/')}"
        needs.append(Needed(action, arn))
    return needs


def new_secret(request: Request, action: str) -> list[Needed]:
    """A secret that is to be; six random characters follow its name."""
    arn = f"arn:aws:secretsmanager:{request.region}:{ACCOUNT}:secret:"
    tags = {t["Key"]: t.get("Value", "") for t in request.params.get("Tags") or []}
    name = request.params.get("Name", "*")
    context = {"secretsmanager:name": [str(name)], **tag_context(tags)}
    needs = [Needed(action, f"{arn}{name}-abcdef", context)]
    if tags:
        needs.append(Needed("secretsmanager:TagResource", f"{arn}{name}-abcdef", context))
    return needs


def secret(request: Request, action: str) -> list[Needed]:
    """A secret by name or ARN."""
    resource_id = str(request.params.get("SecretId", "*"))
    if resource_id.startswith("arn:"):
        return [Needed(action, resource_id)]
    arn = f"arn:aws:secretsmanager:{request.region}:{ACCOUNT}:secret:{resource_id}-abcdef"
    return [Needed(action, arn)]


def schedule(request: Request, action: str) -> list[Needed]:
    """A schedule in its group; creating one hands a role on."""
    params = request.params
    group = params.get("GroupName") or params.get("groupName") or "default"
    name = params.get("Name", "*")
    arn = f"arn:aws:scheduler:{request.region}:{ACCOUNT}:schedule/{group}/{name}"
    needs = [Needed(action, arn)]
    role = (params.get("Target") or {}).get("RoleArn")
    if role:
        passed = {"iam:passedtoservice": ["scheduler.amazonaws.com"]}
        needs.append(Needed("iam:PassRole", str(role), passed))
    return needs
