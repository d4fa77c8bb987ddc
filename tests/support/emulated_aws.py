"""The emulated AWS as its own tests see it: clients, the control interface, usual parameters."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest
from support import permissions
from support.words import Asked, Bill, Words

DLAMI = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
MARK = [{"Key": "dstack-cloud", "Value": "run-1"}]
TAGS = [{"ResourceType": kind, "Tags": MARK} for kind in ("instance", "volume")]
STORE = "dstack-cloud-demo"
WORDS = Words(
    cloud="aws",
    user="user/dstack-daily",
    launch="CreateFleet",
    look="DescribeInstanceAttribute",
    no_capacity="InsufficientInstanceCapacity",
    store_away={
        "action": "*",
        "match": {"service": "s3"},
        "http": 503,
        "error": "SlowDown",
        "message": "Please reduce your rate.",
    },
    region="us-east-1",
    zones=("us-east-1a", "us-east-1b"),
    t4="g4dn.xlarge",
    rare=(("A10G", "g5.xlarge"), ("L4", "g6.xlarge"), ("V100", "p3.2xlarge")),
    beside=(0.1, 0.005),
    spot_history=True,
    bill=Bill(
        {"disk": "0.0100", "address": "0.0050", "transfer": "0.3800"},
        ("0.5950", "1.3950"),
        ("2.0300", "2.0300"),
        ("2.6250", "3.4250"),
    ),
    other_region="us-west-2",
    launching=("CreateFleet", "RunInstances", "CreateLaunchTemplate"),
    scheme="s3",
    no_credentials=(
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        {"AWS_EC2_METADATA_DISABLED": "true"},
        "aws configure",
    ),
    denied="policies/run.json",
    busy={"error": "RequestLimitExceeded", "http": 503},
    away={"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"},
    # All G and VT Spot Instance Requests (docs.aws.amazon.com/ec2/latest/instancetypes).
    no_quota=({"code": "L-3819A6DF", "value": 0}, "0 vCPUs"),
    foreign="may belong to another account",
    reading=("Describe*", "Get*", "List*", "Head*"),
    put="PutObject",
    get="GetObject",
    poll="DescribeInstances",
    own_end="poweroff",
    refresh=("GetProducts", 5),
    images="DescribeImages",
    ahead=("DescribeImages", "DescribeSubnets", "DescribeSecurityGroups"),
    bake="CreateImage",
    boot="CreateLaunchTemplate",
    boot_right="ec2:CreateLaunchTemplate",
    image_region="us-east-1",
    private_image="123456789012.dkr.ecr.us-west-2.amazonaws.com/team/ubuntu:latest",
    pulls=("GetAuthorizationToken", "BatchGetImage", "GetDownloadUrlForLayer"),
    expired={"action": "*", "error": "ExpiredToken", "http": 400},
    login="aws sso login",
)


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
            with urllib.request.urlopen(request, timeout=300) as answer:
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


@dataclass(frozen=True)
class Account:
    """The account that an environment leads to, as its root user sees it."""

    environ: dict[str, str]

    def keys(self, prefix: str) -> list[str]:
        found = self._s3.list_objects_v2(Bucket=STORE, Prefix=prefix)
        return [item["Key"] for item in found.get("Contents", ())]

    def read(self, key: str) -> bytes:
        data: bytes = self._s3.get_object(Bucket=STORE, Key=key)["Body"].read()
        return data

    def remove(self, key: str) -> None:
        self._s3.delete_object(Bucket=STORE, Key=key)

    def left(self) -> list[str]:
        machines = [
            f"machine {one['InstanceId']} {one['State']['Name']}"
            for reservation in self._ec2.describe_instances()["Reservations"]
            for one in reservation["Instances"]
            if one["State"]["Name"] != "terminated"
        ]
        templates = self._ec2.describe_launch_templates()["LaunchTemplates"]
        placements = self._ec2.describe_placement_groups()["PlacementGroups"]
        volumes = self._ec2.describe_volumes()["Volumes"]
        groups = self._ec2.describe_security_groups()["SecurityGroups"]
        uploads = self._s3.list_multipart_uploads(Bucket=STORE).get("Uploads", ())
        return [
            *machines,
            *(f"template {one['LaunchTemplateName']}" for one in templates),
            *(f"placement group {one['GroupName']}" for one in placements),
            *(f"volume {one['VolumeId']}" for one in volumes),
            *(
                f"rule of {one['GroupName']} {rule['IpRanges']}"
                for one in groups
                if one["GroupName"].startswith("dstack-cloud")
                for rule in one["IpPermissions"]
            ),
            *(f"upload of {one['Key']}" for one in uploads),
        ]

    def asked(self, call: dict[str, Any]) -> Asked:
        parameters = call["parameters"]
        (config,) = parameters["LaunchTemplateConfigs"]
        overrides = [(one["InstanceType"], one["SubnetId"]) for one in config["Overrides"]]
        kind = parameters["TargetCapacitySpecification"]["DefaultTargetCapacityType"]
        types = dict.fromkeys(machine for machine, _ in overrides)
        return Asked(tuple(types), frozenset(overrides), kind == "spot")

    def booted(self, calls: list[dict[str, Any]]) -> list[str]:
        templates = [call for call in calls if call["action"] == "CreateLaunchTemplate"]
        return [one["parameters"]["LaunchTemplateData"]["ImageId"] for one in templates]

    def allowed(self, policy: str) -> set[str]:
        return permissions.allowed(policy)

    def nobody(self, file: Path) -> dict[str, str]:
        key = self._aws.control("POST", "users", {"name": "nobody"})
        return _keys(key["access_key_id"], key["secret_access_key"])

    def owner(self, file: Path) -> dict[str, str]:
        return _keys("admin", "admin")

    def interruption(self, notice_s: float) -> dict[str, Any]:
        return {"notice_s": notice_s}

    @cached_property
    def _aws(self) -> Aws:
        return Aws(self.environ["MOTO_FIXTURES_URL"].rstrip("/"))

    @cached_property
    def _ec2(self) -> Any:
        return self._aws.client("ec2", attempts=5)

    @cached_property
    def _s3(self) -> Any:
        return self._aws.client("s3", attempts=5)


def _keys(access: str, secret: str) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret}
