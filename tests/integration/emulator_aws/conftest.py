"""One emulated AWS with stub machines: a process of its own on the loopback, no Docker."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.emulated_aws import DLAMI, MARK, STORE, Aws

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def server() -> Iterator[Aws]:
    process = subprocess.Popen(
        [sys.executable, "-m", "moto_fixtures.aws.server", "--stub", "--name", "tests"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        word, port = process.stdout.readline().split()
        assert word == "ready"
        aws = Aws(f"http://127.0.0.1:{port}")
        aws.client("s3").create_bucket(Bucket=STORE)
        yield aws
    finally:
        process.terminate()
        assert process.wait(60) == 0
        process.stdout.close()


@pytest.fixture
def aws(server: Aws) -> Iterator[Aws]:
    """The emulator, with what a test changed put back afterwards."""
    yield server
    for what in ("faults", "holds", "spot-price", "quota", "clock", "calls"):
        server.control("DELETE", what)


@pytest.fixture
def ec2(aws: Aws) -> Any:
    return aws.client("ec2")


@pytest.fixture
def image(aws: Aws) -> str:
    found = aws.client("ssm").get_parameters(Names=[DLAMI])["Parameters"]
    return str(found[0]["Value"])


@pytest.fixture
def subnets(ec2: Any) -> dict[str, str]:
    """Zone to its default subnet."""
    return {s["AvailabilityZone"]: s["SubnetId"] for s in ec2.describe_subnets()["Subnets"]}


@pytest.fixture
def profile(aws: Aws) -> str:
    """The machines' role and instance profile, as ``init`` makes them."""
    iam = aws.client("iam")
    name = "dstack-cloud-machine"
    if name not in [r["RoleName"] for r in iam.list_roles()["Roles"]]:
        trust = {
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "sts:AssumeRole",
                    "Principal": {"Service": "ec2.amazonaws.com"},
                }
            ]
        }
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    return name


Template = Callable[..., str]


@pytest.fixture
def template(ec2: Any, image: str) -> Iterator[Template]:
    """Makes launch templates: ``template(Key=value…)`` over sensible data; their ids."""
    made: list[str] = []

    def make(**data: Any) -> str:
        full = {
            "ImageId": image,
            "UserData": base64.b64encode(b"#!/bin/sh\ntrue\n").decode(),
            "InstanceInitiatedShutdownBehavior": "terminate",
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
            "BlockDeviceMappings": [
                {
                    "DeviceName": "/dev/sda1",
                    "Ebs": {"VolumeSize": 120, "VolumeType": "gp3", "Encrypted": True},
                }
            ],
            **data,
        }
        answer = ec2.create_launch_template(
            LaunchTemplateName=f"t-{len(made)}-{id(made)}",
            LaunchTemplateData=full,
            TagSpecifications=[{"ResourceType": "launch-template", "Tags": MARK}],
        )
        made.append(answer["LaunchTemplate"]["LaunchTemplateId"])
        return made[-1]

    yield make
    for template_id in made:
        ec2.delete_launch_template(LaunchTemplateId=template_id)
