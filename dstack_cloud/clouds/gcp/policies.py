"""The custom roles that ship with the product, and how they are bound.

The files stand in ``policies/``, as ``gcloud iam roles create NAME --file FILE`` takes them:
``run`` (daily use, in the project), ``images`` (besides it, to bake machine images), ``secrets``
(those of our name, for those who run), ``store`` (the bucket, for machines and for those who run),
``machine`` and ``pull`` (the machines, in the project) and ``init`` (once, for the administrator).
Conditions:
docs.cloud.google.com/iam/docs/conditions-attribute-reference and …/storage/docs/access-control/iam
("Conditions").
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from dstack_cloud.clouds.gcp.names import PREFIX

NAMES = ("run", "images", "secrets", "store", "machine", "pull", "init")
ROLE_IDS = {
    "run": "dstackCloudRun",
    "secrets": "dstackCloudSecrets",
    "store": "dstackCloudStore",
    "machine": "dstackCloudMachine",
    "pull": "dstackCloudPull",
}
"""The roles that `init` makes in the project."""
USE_ACCOUNT = "roles/iam.serviceAccountUser"
"""Google's own role for giving a machine its service account."""


def role(name: str) -> dict[str, Any]:
    """The role file of that name (of `NAMES`)."""
    text = files("dstack_cloud.clouds.gcp").joinpath("policies", f"{name}.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def permissions(name: str) -> list[str]:
    """The permissions of a role."""
    return list(role(name)["includedPermissions"])


def role_path(project: str, name: str) -> str:
    """``projects/P/roles/ID``."""
    return f"projects/{project}/roles/{ROLE_IDS[name]}"


def machine_binding(project: str, account: str) -> dict[str, Any]:
    """Machines may delete machines of our name, and nothing else."""
    return {
        "role": role_path(project, "machine"),
        "members": [f"serviceAccount:{account}"],
        "condition": {
            "title": "dstack-cloud machines",
            "expression": (
                'resource.type == "compute.googleapis.com/Instance" && '
                f'resource.name.extract("/instances/{{name}}").startsWith("{PREFIX}")'
            ),
        },
    }


def pull_binding(project: str, account: str) -> dict[str, Any]:
    """Machines may pull images from the project's registries."""
    return {"role": role_path(project, "pull"), "members": [f"serviceAccount:{account}"]}


def run_binding(project: str, members: Sequence[str]) -> dict[str, Any]:
    """Those who run may do so in the project."""
    return {"role": role_path(project, "run"), "members": list(members)}


def secrets_binding(project: str, members: Sequence[str]) -> dict[str, Any]:
    """Those who run may use the secrets of our name (and their versions), and no others.

    Making one and listing them is asked of the project, where no condition on a name can hold:
    ``run`` has those.
    """
    return {
        "role": role_path(project, "secrets"),
        "members": list(members),
        "condition": {
            "title": "dstack-cloud secrets",
            "expression": (f'resource.name.extract("/secrets/{{name}}").startsWith("{PREFIX}")'),
        },
    }


def store_binding(project: str, bucket: str, prefix: str, members: Sequence[str]) -> dict[str, Any]:
    """These may use the store: all of the bucket, or what is below its prefix."""
    found: dict[str, Any] = {"role": role_path(project, "store"), "members": list(members)}
    folder = prefix.strip("/")
    if folder:
        found["condition"] = {
            "title": f"dstack-cloud store {folder}"[:100],
            "expression": (
                f'resource.name.startsWith("projects/_/buckets/{bucket}/objects/{folder}/") || '
                'api.getAttribute("storage.googleapis.com/objectListPrefix", "")'
                f'.startsWith("{folder}/")'
            ),
        }
    return found


def merged(policy: dict[str, Any], wanted: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """An IAM policy with these bindings besides its own; None where it has them all: pure.

    What others have bound stays. Version 3 is what conditions need.
    """
    bindings = [dict(one) for one in policy.get("bindings", ())]
    changed = False
    for binding in wanted:
        same = next(
            (
                one
                for one in bindings
                if one["role"] == binding["role"] and _expression(one) == _expression(binding)
            ),
            None,
        )
        if same is None:
            bindings.append(binding)
            changed = True
            continue
        missing = [one for one in binding["members"] if one not in same.get("members", ())]
        if missing:
            same["members"] = [*same.get("members", ()), *missing]
            changed = True
    return {**policy, "version": 3, "bindings": bindings} if changed else None


def _expression(binding: dict[str, Any]) -> str:
    return str(binding.get("condition", {}).get("expression", ""))
