"""The emulated Google Cloud as its own tests see it: plain calls, users, its control interface."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.auth.transport.requests import Request
from google.oauth2 import service_account
from support.words import Words

WORDS = Words(cloud="gcp", launch="compute.regionInstances.bulkInsert")
ROOT = Path(__file__).parents[2]
PROJECT, REGION, ZONE = "dstack-cloud-demo", "us-central1", "us-central1-a"
HOME = f"/compute/v1/projects/{PROJECT}"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GPU_IMAGE = (
    "projects/deeplearning-platform-release/global/images/family/"
    "common-cu129-ubuntu-2404-nvidia-580"
)
OWNER = "tests-owner"


class Refused(Exception):
    """What Google's error JSON says."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.code = error["code"]
        self.message = error["message"]
        self.reasons = [one["reason"] for one in error.get("errors", [])]
        self.details = [one.get("reason") for one in error.get("details", [])]


@dataclass(frozen=True)
class Gcp:
    """The emulator's address; ``call`` is plain REST as one of its users."""

    url: str
    _users: dict[str, Any] = field(default_factory=dict, compare=False)

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_emulator/{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def user(self, name: str, **granted: Any) -> service_account.Credentials:
        """A user's credentials; ``roles`` and ``permissions``, where told, are what it has."""
        if granted or name not in self._users:
            info = self.control("POST", "users", {"name": name, **granted})
            found = service_account.Credentials.from_service_account_info(info, scopes=[SCOPE])
            self._users[name] = found
        return self._users[name]

    def token(self, user: str = OWNER) -> str:
        credentials = self.user(user)
        if not credentials.token:
            credentials.refresh(Request())
        return str(credentials.token)

    def call(
        self, method: str, path: str, body: Any = None, *, user: str = OWNER, token: str = ""
    ) -> Any:
        """The JSON answer; Refused where it is an error."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, method=method)
        request.add_header("Authorization", f"Bearer {token or self.token(user)}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise Refused(json.load(error)["error"]) from error

    def done(self, operation: dict[str, Any], **more: str) -> dict[str, Any]:
        """The operation once it has ended."""
        path = operation["selfLink"].removeprefix("https://www.googleapis.com")
        found: dict[str, Any] = self.call("POST", f"{path}/wait", **more)  # type: ignore[arg-type]
        return found

    def launch(self, body: dict[str, Any], request_id: str = "", **more: Any) -> dict[str, Any]:
        query = f"?requestId={request_id}" if request_id else ""
        path = f"{HOME}/regions/{REGION}/instances/bulkInsert{query}"
        found: dict[str, Any] = self.call("POST", path, body, **more)
        return found

    def instances(self) -> list[dict[str, Any]]:
        found = self.call("GET", f"{HOME}/aggregated/instances")["items"].values()
        return [one for scope in found for one in scope.get("instances", [])]

    def disks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.control("GET", "disks")
        return found


def bulk(name: str, *types: str, **more: Any) -> dict[str, Any]:
    """One spot machine of the types, in their order; ``more`` are properties of the instance."""
    properties: dict[str, Any] = {
        "disks": [
            {"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": GPU_IMAGE}}
        ],
        "networkInterfaces": [{"accessConfigs": [{"type": "ONE_TO_ONE_NAT"}]}],
        "scheduling": {"provisioningModel": "SPOT", "instanceTerminationAction": "DELETE"},
        **more,
    }
    body: dict[str, Any] = {
        "count": "1",
        "perInstanceProperties": {name: {}},
        "instanceProperties": properties,
    }
    if types:
        selections = {f"s{i}": {"rank": str(i), "machineTypes": [t]} for i, t in enumerate(types)}
        body["instanceFlexibilityPolicy"] = {"instanceSelections": selections}
    return body


@contextmanager
def serving(name: str) -> Iterator[Gcp]:
    """The emulator with stub machines for the length of the block; an owner may do everything."""
    process = subprocess.Popen(
        [sys.executable, "-m", "moto_fixtures.gcp.server", "--stub", "--name", name],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        word, port, _storage = process.stdout.readline().split()
        assert word == "ready"
        gcp = Gcp(f"http://127.0.0.1:{port}")
        for api in ("compute", "cloudbilling", "iam", "cloudresourcemanager"):
            gcp.control("POST", "services", {"name": f"{api}.googleapis.com", "enabled": True})
        gcp.user(OWNER, roles=["roles/owner"])
        yield gcp
    finally:
        process.terminate()
        assert process.wait(60) == 0
        process.stdout.close()
