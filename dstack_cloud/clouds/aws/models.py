"""What botocore knows of AWS, cut down to what is called here.

Its description of EC2 has 830 operations, that of all endpoints 350 services: each client of a
run would carry them through its life, in tens of megabytes, and make a method of each operation.
To read that of EC2 takes longer than to ask EC2 all that a launch asks, so what is left of it is
kept in a cache, by botocore's version.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from dstack_cloud.catalog.load import cache_folder

# A test holds these against the calls in the source.
OPERATIONS: dict[str, frozenset[str]] = {
    "ec2": frozenset(
        {
            "AuthorizeSecurityGroupIngress",
            "CreateFleet",
            "CreateImage",
            "CreateLaunchTemplate",
            "CreatePlacementGroup",
            "CreateSecurityGroup",
            "DeleteLaunchTemplate",
            "DeletePlacementGroup",
            "DeleteSnapshot",
            "DeregisterImage",
            "DescribeImages",
            "DescribeInstanceAttribute",
            "DescribeInstanceTypeOfferings",
            "DescribeInstanceTypes",
            "DescribeInstances",
            "DescribeLaunchTemplates",
            "DescribePlacementGroups",
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


def lean_loader(core: Any) -> Any:
    """A loader for a botocore session that finds the short descriptions before the long ones, and
    the user's own (``AWS_DATA_PATH``) before either."""
    from botocore.loaders import create_loader

    paths = [core.get_config_variable("data_path"), _short_descriptions()]
    found = os.pathsep.join(str(path) for path in paths if path)
    return create_loader(found or None)


def _short_descriptions() -> Path | None:
    """The folder of those, made where it is missing; None where nothing can be written."""
    import botocore

    called = json.dumps({name: sorted(OPERATIONS[name]) for name in sorted(OPERATIONS)})
    name = f"aws-models-{botocore.__version__}-{sha256(called.encode()).hexdigest()[:8]}"
    folder = cache_folder() / name
    if not folder.is_dir():
        with contextlib.suppress(OSError):
            _make(folder)
    return folder if folder.is_dir() else None


def _make(folder: Path) -> None:
    from botocore.loaders import create_loader

    whole = create_loader()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="new-", dir=folder.parent) as made:
        new = Path(made) / "models"
        for service, operations in OPERATIONS.items():
            version = whole.determine_latest_version(service, "service-2")
            model = whole.load_service_model(service, "service-2", version)
            trim(model, operations)
            place = new / service / version
            place.mkdir(parents=True)
            with open(place / "service-2.json", "w", encoding="utf-8") as file:
                json.dump(_without_words(model), file)
                file.flush()
                os.fsync(file.fileno())
        for former in folder.parent.glob("aws-models-*"):
            if former != folder:
                shutil.rmtree(former, ignore_errors=True)
        # Another process may have been faster: its folder is as good.
        with contextlib.suppress(OSError):
            new.rename(folder)


def _without_words(part: Any) -> Any:
    """A description without its documentation for people."""
    if isinstance(part, dict):
        return {
            name: _without_words(inner)
            for name, inner in part.items()
            if name != "documentation" or not isinstance(inner, str)
        }
    return [_without_words(inner) for inner in part] if isinstance(part, list) else part


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
