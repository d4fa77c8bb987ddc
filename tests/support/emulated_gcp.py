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
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2 import service_account
from support.words import Asked, Bill, Words

from dstack_cloud.clouds.gcp import policies

ROOT = Path(__file__).parents[2]
PROJECT, REGION, ZONE = "dstack-cloud-demo", "us-central1", "us-central1-a"
HOME = f"/compute/v1/projects/{PROJECT}"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GPU_IMAGE = (
    "projects/deeplearning-platform-release/global/images/family/"
    "common-cu129-ubuntu-2404-nvidia-580"
)
OWNER = "tests-owner"
STORE = "dstack-cloud-demo"
WORDS = Words(
    cloud="gcp",
    user=f"dstack-daily@{PROJECT}.iam.gserviceaccount.com",
    launch="compute.regionInstances.bulkInsert",
    look="compute.instances.get",
    no_capacity="ZONE_RESOURCE_POOL_EXHAUSTED",
    store_away={
        "action": "storage.*",
        "error": "backendError",
        "message": "We encountered an internal error. Please try again.",
    },
    region=REGION,
    zones=("us-central1-a", "us-central1-b"),
    t4="n1-standard-1",
    rare=(("L4", "g2-standard-4"), ("P100", "n1-standard-1"), ("V100", "n1-standard-1")),
    beside=(0.123, 0.002),
    spot_history=False,
    bill=Bill(
        {"disk": "0.0123", "address": "0.0025", "transfer": "0.4400"},
        ("0.6548", "1.4573"),
        ("2.0347", "2.0347"),
        ("2.6895", "3.4920"),
    ),
    other_region="us-west1",
    launching=(
        "compute.regionInstances.bulkInsert",
        "compute.instances.bulkInsert",
        "compute.instances.insert",
    ),
    scheme="gs",
    no_credentials=(
        ("GOOGLE_APPLICATION_CREDENTIALS",),
        {"NO_GCE_CHECK": "true"},
        "gcloud auth application-default login",
    ),
    denied="dstack-cloud check --cloud gcp says what is missing",
    busy={"error": "rateLimitExceeded"},
    away={
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": "http://127.0.0.1:9/compute/v1/",
        "STORAGE_EMULATOR_HOST": "http://127.0.0.1:9",
    },
    no_quota=({"metric": "PREEMPTIBLE_NVIDIA_T4_GPUS", "value": 0}, "0 PREEMPTIBLE_NVIDIA_T4_GPUS"),
    foreign="may belong to another project",
    reading=("*.get*", "*.list", "*.aggregatedList", "*.wait", "oauth2.token"),
    put="storage.objects.insert",
    get="storage.objects.get",
    poll="compute.instances.get",
    own_end="terminated",
    refresh=("compute.machineTypes.list", 2),
    images="compute.images.list",
    ahead=("compute.images.list", "compute.images.getFromFamily"),
    bake="compute.images.insert",
    boot="compute.regionInstances.bulkInsert",
    boot_right="compute.images.useReadOnly",
    image_region=None,
    private_image=f"us-central1-docker.pkg.dev/{PROJECT}/team/ubuntu:latest",
    pulls=("manifests", "blobs"),
    expired={"action": "*", "error": "UNAUTHENTICATED"},
    login="gcloud auth application-default login",
)


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
        with urllib.request.urlopen(request, timeout=300) as answer:
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
            with urllib.request.urlopen(request, timeout=300) as answer:
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


@dataclass(frozen=True)
class Account:
    """The project that an environment leads to, as an owner sees it."""

    environ: dict[str, str]

    def keys(self, prefix: str) -> list[str]:
        found, token = [], ""
        while True:
            page = self._ask("GET", f"{self._objects}?prefix={quote(prefix)}&pageToken={token}")
            found += [one["name"] for one in page.json().get("items", ())]
            token = page.json().get("nextPageToken", "")
            if not token:
                return found

    def read(self, key: str) -> bytes:
        data: bytes = self._ask("GET", f"{self._objects}/{quote(key, safe='')}?alt=media").content
        return data

    def remove(self, key: str) -> None:
        self._ask("DELETE", f"{self._objects}/{quote(key, safe='')}")

    def left(self) -> list[str]:
        scopes = self._ask("GET", f"{self._compute}/aggregated/instances").json()["items"]
        machines = [one for scope in scopes.values() for one in scope.get("instances", ())]
        scopes = self._ask("GET", f"{self._compute}/aggregated/disks").json()["items"]
        disks = [one for scope in scopes.values() for one in scope.get("disks", ())]
        rules = self._ask("GET", f"{self._compute}/global/firewalls").json().get("items", ())
        return [
            *(f"machine {one['name']} {one['status']}" for one in machines),
            *(f"disk {one['name']}" for one in disks),
            *(
                f"rule {one['name']} {one.get('sourceRanges')}"
                for one in rules
                if one["name"].startswith("dstack-cloud") and "allowed" in one
            ),
        ]

    def asked(self, call: dict[str, Any]) -> Asked:
        body = call["parameters"]["body"]
        wanted = body["instanceProperties"]
        policy = body.get("instanceFlexibilityPolicy", {}).get("instanceSelections", {})
        ranked = sorted(policy.values(), key=lambda one: int(one["rank"]))
        types = [name for one in ranked for name in one["machineTypes"]]
        types = types or [wanted["machineType"]]
        places = body["locationPolicy"]["locations"]
        zones = [place for place, how in places.items() if how["preference"] == "ALLOW"]
        return Asked(
            tuple(types),
            frozenset((machine, zone) for machine in types for zone in zones),
            wanted["scheduling"]["provisioningModel"] == "SPOT",
        )

    def booted(self, calls: list[dict[str, Any]]) -> list[str]:
        bodies = [call["parameters"]["body"] for call in calls if call["action"] == WORDS.launch]
        disks = [body["instanceProperties"]["disks"][0] for body in bodies]
        return [disk["initializeParams"]["sourceImage"].rpartition("/")[2] for disk in disks]

    def allowed(self, policy: str) -> set[str]:
        return set(policies.permissions(policy))

    def nobody(self, file: Path) -> dict[str, str]:
        return self._as_user(file, "tests-nobody")

    def owner(self, file: Path) -> dict[str, str]:
        return self._as_user(file, OWNER, roles=["roles/owner"])

    def interruption(self, notice_s: float) -> dict[str, Any]:
        # The power goes half a minute after the button at most; what is more comes before it.
        button_s = min(notice_s, 30)
        return {"early_s": notice_s - button_s, "notice_s": button_s}

    @property
    def _objects(self) -> str:
        return f"{self.environ['STORAGE_EMULATOR_HOST']}/storage/v1/b/{STORE}/o"

    @property
    def _compute(self) -> str:
        return f"{self.environ['CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE']}projects/{PROJECT}"

    def _ask(self, method: str, url: str) -> Any:
        answer = self._session.request(method, url, timeout=30)
        answer.raise_for_status()
        return answer

    @cached_property
    def _session(self) -> AuthorizedSession:
        info = self._user(OWNER, roles=["roles/owner"])
        owner = service_account.Credentials.from_service_account_info(info, scopes=[SCOPE])
        return AuthorizedSession(owner)

    def _user(self, name: str, **granted: Any) -> dict[str, Any]:
        """The key file of a user who has been granted so much."""
        gcp = Gcp(self.environ["MOTO_FIXTURES_URL"].rstrip("/"))
        found: dict[str, Any] = gcp.control("POST", "users", {"name": name, **granted})
        return found

    def _as_user(self, file: Path, name: str, **granted: Any) -> dict[str, str]:
        file.write_text(json.dumps(self._user(name, **granted)))
        return {"GOOGLE_APPLICATION_CREDENTIALS": str(file)}
