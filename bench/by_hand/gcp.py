"""By hand on Google Cloud: curl, jq and openssl."""

from __future__ import annotations

import itertools
import json
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support import ROOT

NAME = "gcp"
SPOT_PRICES_MOVE = False
"""Whether they may be another within the day."""
STARTS = ("token", "launched", "asked")
"""The marks of the script before which its client was started once more."""
_ZONE = "us-central1-a"
_IMAGE = "projects/deeplearning-platform-release/global/images/family/{}".format(
    "common-cu129-ubuntu-2404-nvidia-580"
)
_TAG = "by-hand"
_numbers = itertools.count(1)


def client() -> list[str]:
    """A command that only starts the client."""
    return ["curl", "--version"]


def prepare(env: Mapping[str, str], key: Path) -> dict[str, str]:
    """The script's environment: what to insert, in a file, and a firewall rule that lets it in."""
    # The daily user may launch with our names alone, so the script works as another.
    file = key.parent / "by-hand.json"
    file.write_text(json.dumps(_user(env)))
    mine = {**env, "GOOGLE_APPLICATION_CREDENTIALS": str(file)}
    project = mine["GOOGLE_CLOUD_PROJECT"]
    compute = mine["CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"].rstrip("/")
    base = f"{compute}/projects/{project}"
    rule = {
        "name": _TAG,
        "network": f"projects/{project}/global/networks/default",
        "sourceRanges": ["0.0.0.0/0"],
        "targetTags": [_TAG],
        "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
    }
    _call(mine, "POST", f"{base}/global/firewalls", rule)
    body = key.parent / "instance.json"
    body.write_text(json.dumps(_instance(project, key.with_suffix(".pub").read_text().strip())))
    api = f"{base}/zones/{_ZONE}/instances"
    return {**mine, "API": api, "BODY": str(body), "KEY_FILE": str(key), "NAME": f"{_TAG}-0"}


def end(env: Mapping[str, str], machine: Mapping[str, Any]) -> None:
    """Delete a machine of the emulator's listing, and have another name for the next."""
    name = str(machine["instance"]).rpartition("/")[2]
    _call(env, "DELETE", f"{env['API']}/{name}")
    if isinstance(env, dict):
        env["NAME"] = f"{_TAG}-{next(_numbers)}"


def _instance(project: str, public_key: str) -> dict[str, Any]:
    disk = {"sourceImage": _IMAGE, "diskSizeGb": "100"}
    zone = f"projects/{project}/zones/{_ZONE}"
    items = {"ssh-keys": f"ubuntu:{public_key}", "enable-oslogin": "FALSE"}
    return {
        "machineType": f"{zone}/machineTypes/n1-standard-4",
        "guestAccelerators": [
            {
                "acceleratorType": f"{zone}/acceleratorTypes/nvidia-tesla-t4",
                "acceleratorCount": 1,
            }
        ],
        "scheduling": {
            "provisioningModel": "SPOT",
            "onHostMaintenance": "TERMINATE",
            "automaticRestart": False,
            "instanceTerminationAction": "DELETE",
        },
        "tags": {"items": [_TAG]},
        "disks": [{"boot": True, "autoDelete": True, "initializeParams": disk}],
        "networkInterfaces": [
            {
                "network": f"projects/{project}/global/networks/default",
                "accessConfigs": [{"name": "External NAT", "type": "ONE_TO_ONE_NAT"}],
            }
        ],
        "metadata": {"items": [{"key": k, "value": v} for k, v in items.items()]},
    }


def _user(env: Mapping[str, str]) -> Any:
    """The key file of a new user of the emulated cloud, who may do all with machines."""
    body = json.dumps({"name": _TAG, "roles": ["roles/compute.admin"]}).encode()
    url = env["MOTO_FIXTURES_URL"].rstrip("/") + "/_emulator/users"
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=60) as answer:
        return json.load(answer)


def _call(env: Mapping[str, str], method: str, url: str, body: Any = None) -> None:
    headers = {"Authorization": f"Bearer {_token(env)}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=60):
        pass


def _token(env: Mapping[str, str]) -> str:
    sys.path.insert(0, str(ROOT))
    from google.oauth2 import service_account

    from dstack_cloud.google_sign_in import transport

    scopes = ["https://www.googleapis.com/auth/cloud-platform"]
    file = env["GOOGLE_APPLICATION_CREDENTIALS"]
    found: Any = service_account.Credentials.from_service_account_file(file, scopes=scopes)
    found.refresh(transport)
    return str(found.token)
