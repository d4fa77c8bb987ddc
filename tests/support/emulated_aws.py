"""The emulated AWS as its own tests see it: clients, the control interface, usual parameters."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
from support.words import Words

WORDS = Words(cloud="aws", launch="CreateFleet")
DLAMI = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
MARK = [{"Key": "dstack-cloud", "Value": "run-1"}]
TAGS = [{"ResourceType": kind, "Tags": MARK} for kind in ("instance", "volume")]
STORE = "dstack-cloud-demo"


@cache
def _session() -> Any:
    """One for all clients: each session reads the services' data anew."""
    import boto3

    return boto3.session.Session()


@dataclass(frozen=True)
class Aws:
    """The emulator's address; clients for its users, and its control interface."""

    url: str
    _clients: dict[tuple[str, ...], Any] = field(default_factory=dict, compare=False)

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """What ``/_emulator/PATH`` answers; AssertionError with its words where it refuses."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_emulator/{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error

    def keys(self, user: str) -> dict[str, str]:
        key: dict[str, str] = self.control("GET", "keys")[user]
        return key

    def client(
        self,
        service: str,
        user: str = "root",
        region: str = "us-east-1",
        key: dict[str, str] | None = None,
        token: str | None = None,
        attempts: int = 1,
    ) -> Any:
        """A client for a user of the account, or for the key (and token) given."""
        from botocore.config import Config

        key = key or self.keys(user)
        held = (service, region, key["access_key_id"], key["secret_access_key"], str(attempts))
        # A client takes a third of a second to make: keep them over the tests.
        if token is not None or held not in self._clients:
            self._clients[held] = _session().client(
                service,
                endpoint_url=self.url,
                region_name=region,
                aws_access_key_id=key["access_key_id"],
                aws_secret_access_key=key["secret_access_key"],
                aws_session_token=token,
                config=Config(retries={"total_max_attempts": attempts}, read_timeout=30),
            )
        return self._clients[held]

    def calls(self, action: str | None = None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.control("GET", "calls")
        return [c for c in found if action in (None, c["action"])]

    def machine(self, instance_id: str) -> dict[str, Any]:
        machines: list[dict[str, Any]] = self.control("GET", "machines")
        return next(m for m in machines if m["id"] == instance_id)


def fleet(template_id: str, overrides: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Parameters of an instant fleet of one machine: spot, by priority, unless told otherwise."""
    return {
        "Type": "instant",
        "LaunchTemplateConfigs": [
            {
                "LaunchTemplateSpecification": {"LaunchTemplateId": template_id, "Version": "1"},
                "Overrides": overrides,
            }
        ],
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": 1,
            "DefaultTargetCapacityType": "spot",
        },
        "SpotOptions": {"AllocationStrategy": "capacity-optimized-prioritized"},
        "TagSpecifications": TAGS,
        **more,
    }


def code_of(call: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[str, int]:
    """The error code and HTTP status that a call is answered with."""
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        call(*args, **kwargs)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
