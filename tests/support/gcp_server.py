"""An emulated Google Cloud with stub machines, as a process of its own on the loopback."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROJECT = "dstack-cloud-demo"
STORE = "dstack-cloud-demo"


@dataclass(frozen=True)
class Gcp:
    """The emulator's addresses, key files of its users, and its control interface."""

    url: str
    storage: str
    folder: Path = field(compare=False)

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """What ``/_emulator/PATH`` answers; AssertionError with its words where it refuses."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_emulator/{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error

    def environment(self, user: str) -> dict[str, str]:
        """The variables that make a user's shell speak to this emulator, by the SDKs' own names."""
        key = self.control("GET", "keys")[user]
        file = self.folder / f"{user}.json"
        file.write_text(json.dumps(key))
        services = (
            *("CLOUDBILLING", "CLOUDRESOURCEMANAGER", "IAM"),
            *("SECRETMANAGER", "SERVICEUSAGE"),
        )
        return {
            "GOOGLE_APPLICATION_CREDENTIALS": str(file),
            "CLOUDSDK_CORE_PROJECT": PROJECT,
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": f"{self.url}/compute/v1/",
            **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}": f"{self.url}/" for name in services},
            "STORAGE_EMULATOR_HOST": self.storage,
        }

    def email(self, user: str) -> str:
        email: str = self.control("GET", "keys")[user]["client_email"]
        return email

    def user(self, name: str, permissions: list[str]) -> dict[str, str]:
        """A new user with these permissions in the project; its environment."""
        self.control("POST", "users", {"name": name, "permissions": permissions})
        return self.environment(name)

    def calls(self, action: str | None = None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.control("GET", "calls")
        return [call for call in found if action in (None, call["action"])]

    def instances(self) -> list[dict[str, Any]]:
        """The machines that the cloud has, the stopped ones included."""
        found: list[dict[str, Any]] = self.control("GET", "machines")
        return [one for one in found if one["instance_state"] != "DELETED"]

    def disks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.control("GET", "disks")
        return found


def without_gcp(environ: dict[str, str]) -> dict[str, str]:
    """An environment in which nothing points at a Google Cloud."""
    return {
        key: value
        for key, value in environ.items()
        if not key.startswith(("CLOUDSDK_", "GOOGLE_")) and key != "STORAGE_EMULATOR_HOST"
    }


@contextmanager
def serving(name: str) -> Iterator[Gcp]:
    """The emulator for the length of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "moto_fixtures.gcp.server", "--stub", "--name", name],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        word, port, storage = process.stdout.readline().split()
        assert word == "ready"
        with tempfile.TemporaryDirectory(prefix="gcp-") as folder:
            here = "http://127.0.0.1"
            yield Gcp(f"{here}:{port}", f"{here}:{storage}", Path(folder))
    finally:
        process.terminate()
        assert process.wait(60) == 0
        process.stdout.close()
