"""The real awscli against the emulator. It pins botocore, so it lives in a venv of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.emulated_aws import MARK, STORE, Aws

from moto_fixtures.awscli import program


@pytest.fixture(scope="module")
def awscli() -> Path:
    return program()


class Cli:
    """``aws …`` as the daily user."""

    def __init__(self, program: Path, aws: Aws, home: Path) -> None:
        key = aws.keys("dstack-daily")
        self._program = program
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AWS_ENDPOINT_URL": aws.url,
            "AWS_ACCESS_KEY_ID": key["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": key["secret_access_key"],
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
        }

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, *words], env=self._env, capture_output=True, text=True, timeout=60
        )

    def json(self, *words: str) -> Any:
        done = self.run(*words, "--output", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def cli(awscli: Path, aws: Aws, tmp_path: Path) -> Cli:
    return Cli(awscli, aws, tmp_path)


@pytest.mark.timeout(300)
def test_instances_and_their_tags(cli: Cli, ec2: Any, image: str) -> None:
    made = ec2.run_instances(
        ImageId=image,
        InstanceType="m5.large",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": MARK}],
    )["Instances"][0]
    filters = ["--filters", "Name=tag:dstack-cloud,Values=run-1"]
    found = cli.json("ec2", "describe-instances", *filters)
    mine = {i["InstanceId"]: i for r in found["Reservations"] for i in r["Instances"]}
    instance = mine[made["InstanceId"]]
    assert instance["Tags"] == MARK
    assert instance["PrivateIpAddress"] == made["PrivateIpAddress"]
    ended = cli.json("ec2", "terminate-instances", "--instance-ids", made["InstanceId"])
    assert ended["TerminatingInstances"][0]["PreviousState"]["Name"] == "running"


def test_an_object(cli: Cli, aws: Aws, tmp_path: Path) -> None:
    body = b"Hello, world!\n" * 1000
    aws.client("s3").put_object(Bucket=STORE, Key="artifacts/hello.txt", Body=body)
    target = tmp_path / "hello.txt"
    done = cli.run("s3", "cp", f"s3://{STORE}/artifacts/hello.txt", target)
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == body
    listed = cli.run("s3", "ls", f"s3://{STORE}/artifacts/")
    assert "hello.txt" in listed.stdout
    put = cli.run("s3", "cp", target, f"s3://{STORE}/artifacts/again.txt")
    assert put.returncode == 0, put.stderr
    got = aws.client("s3").get_object(Bucket=STORE, Key="artifacts/again.txt")
    assert got["Body"].read() == body


def test_a_denial_is_told(cli: Cli) -> None:
    done = cli.run("iam", "list-users")
    assert done.returncode != 0
    assert "AccessDenied" in done.stderr
    assert "iam:ListUsers" in done.stderr
