"""The IAM policies that ship with the product, with their placeholders filled in.

The files stand in ``policies/``: ``run`` (daily use), ``images`` (besides it, for those who
bake machine images), ``init`` (once, by an administrator) and ``machine`` (the role of the
machines), with ``machine-trust`` (who may take that role).
Placeholders: ``${account}`` (12 digits), ``${store_bucket}``, ``${store_prefix}`` (empty, or ending
in a slash). What has a colon, such as ``${ec2:InstanceID}``, is IAM's own variable and stays.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

ROLE = "dstack-cloud-machine"
NAMES = ("run", "images", "init", "machine", "machine-trust")


def render(
    name: str,
    *,
    account: str,
    bucket: str,
    prefix: str = "",
    role: str = ROLE,
    partition: str = "aws",
) -> dict[str, Any]:
    """The policy document of that name (of `NAMES`) for one account, store and machine role."""
    text = files("dstack_cloud.clouds.aws").joinpath("policies", f"{name}.json").read_text("utf-8")
    folder = prefix.strip("/")
    values = {
        "${account}": account,
        "${store_bucket}": bucket,
        "${store_prefix}": f"{folder}/" if folder else "",
        "arn:aws:": f"arn:{partition}:",
        f"role/{ROLE}": f"role/{role}",
        f"instance-profile/{ROLE}": f"instance-profile/{role}",
    }
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    document: dict[str, Any] = json.loads(text)
    return document
