"""What botocore knows of AWS, cut down to what is called here.

Its description of EC2 has 830 operations, that of all endpoints 350 services: each client of a
run would carry them through its life, in tens of megabytes, and make a method of each operation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# A test holds these against the calls in the source.
OPERATIONS: dict[str, frozenset[str]] = {
    "ec2": frozenset(
        {
            "AuthorizeSecurityGroupIngress",
            "CreateFleet",
            "CreateLaunchTemplate",
            "CreateSecurityGroup",
            "DeleteLaunchTemplate",
            "DescribeImages",
            "DescribeInstanceAttribute",
            "DescribeInstanceTypeOfferings",
            "DescribeInstanceTypes",
            "DescribeInstances",
            "DescribeLaunchTemplates",
            "DescribeSecurityGroups",
            "DescribeSpotPriceHistory",
            "DescribeSubnets",
            "DescribeVpcs",
            "ModifyInstanceAttribute",
            "RevokeSecurityGroupIngress",
            "RunInstances",
            "TerminateInstances",
        }
    ),
    "ssm": frozenset({"GetParameters"}),
}
# Those of a client, and of the credentials that it may get by SSO or by assuming a role. For any
# other botocore makes the usual name of the endpoint by itself.
_ENDPOINTS = ("ec2", "iam", "oidc", "portal.sso", "s3", "servicequotas", "ssm", "sts")


def lean(loader: Any, service: str) -> None:
    """Drop from what ``loader`` (botocore's, with its cache) has of ``service`` and of all
    endpoints whatever is not called. Harmless twice."""
    for partition in loader.load_data("endpoints")["partitions"]:
        known = partition["services"]
        partition["services"] = {name: known[name] for name in _ENDPOINTS if name in known}
    if service in OPERATIONS:
        trim(loader.load_service_model(service, "service-2", api_version=None), OPERATIONS[service])


def trim(model: dict[str, Any], operations: frozenset[str]) -> None:
    """Leave in a service's description these operations, and the shapes that they are made of."""
    kept = {name: model["operations"][name] for name in operations}
    shapes = model["shapes"]
    needed: dict[str, Any] = {}
    found = list(_references(list(kept.values())))
    while found:
        name = found.pop()
        if name not in needed:
            needed[name] = shapes[name]
            found += _references(shapes[name])
    model["operations"], model["shapes"] = kept, needed


def _references(part: Any) -> Iterator[str]:
    """The names of the shapes that a part of a description refers to."""
    if isinstance(part, dict):
        if isinstance(part.get("shape"), str):
            yield part["shape"]
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            yield from _references(item)
