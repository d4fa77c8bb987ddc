"""A container gets the cloud's credentials when it asks for a role's, and never the machine's."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path

import boto3
import pytest
from support.emulated import Emulator, Project

ACCOUNT = "123456789012"
READER = f"arn:aws:iam::{ACCOUNT}:role/data/reader"
MACHINES = f"arn:aws:iam::{ACCOUNT}:role/dstack-cloud-machine"
WORKFLOWS = """
    workflows:
      - name: reads
        provider: python
        version: 3.11
        file: read.py
        environment: [AWS_ENDPOINT_URL, PYTHONPATH=lib]
        cloud_access: ROLE
        resources: {gpu: T4}
      - name: asks
        provider: python
        version: 3.11
        file: ask.py
        resources: {gpu: T4}
"""
READ = """
import boto3
s3 = boto3.client("s3", region_name="us-east-1")
print(s3.get_object(Bucket="data-of-others", Key="answer")["Body"].read().decode())
print(boto3.client("sts", region_name="us-east-1").get_caller_identity()["Arn"])
"""
ASK = """
import os, urllib.request
assert not [name for name in os.environ if name.startswith("AWS_")]
for url in ("http://169.254.169.254/latest/api/token", "http://169.254.170.2/"):
    method = "PUT" if "token" in url else "GET"
    headers = {"X-aws-ec2-metadata-token-ttl-seconds": "60"} if method == "PUT" else {}
    request = urllib.request.Request(url, headers=headers, method=method)
    try:
        urllib.request.urlopen(request, timeout=3)
        print("answered", url)
    except OSError as error:
        print("refused")
"""


@pytest.fixture
def data(emulator: Emulator) -> None:
    """A bucket beside the store, and a role that may read it."""
    [root] = [key for key in emulator.get("/_emulator/keys").values() if key["user"] == "root"]
    options = {
        "endpoint_url": emulator.environ["AWS_ENDPOINT_URL"],
        "region_name": "us-east-1",
        "aws_access_key_id": root["access_key_id"],
        "aws_secret_access_key": root["secret_access_key"],
    }
    s3, iam = boto3.client("s3", **options), boto3.client("iam", **options)
    s3.create_bucket(Bucket="data-of-others")
    s3.put_object(Bucket="data-of-others", Key="answer", Body=b"forty-two")
    trust = {"Effect": "Allow", "Principal": {"AWS": MACHINES}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName="reader", Path="/data/", AssumeRolePolicyDocument=policy(trust))
    may = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::data-of-others/*"}
    iam.put_role_policy(RoleName="reader", PolicyName="read", PolicyDocument=policy(may))


def bring(folder: Path, *packages: str) -> None:
    """The very packages of this Python, for a container that has no way to an index."""
    for name in packages:
        module = importlib.import_module(name)
        assert module.__file__
        source = Path(module.__file__)
        if source.name != "__init__.py":
            shutil.copy(source, folder)
            continue

        def left_out(where: str, names: list[str]) -> set[str]:
            data = Path(where).name == "data" and Path(where).parent.name == "botocore"
            services = {n for n in names if Path(where, n).is_dir()} if data else set()
            return {"__pycache__"} | services - {"s3", "sts"}

        shutil.copytree(source.parent, folder / name, ignore=left_out)


def policy(*statements: dict[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@pytest.mark.usefixtures("data")
def test_a_role_of_the_users_choice(emulator: Emulator, project: Project) -> None:
    project.workflows(WORKFLOWS.replace("ROLE", READER))
    (project.folder / "read.py").write_text(READ)
    (project.folder / "ask.py").write_text(ASK)
    bring(project.folder / "lib", "boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six")
    bring(project.folder / "lib", "urllib3")
    done = project.cli("run", "reads", "-y")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-2:] == [
        "forty-two",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/reads-1-1",
    ]
    asked = project.cli("run", "asks", "-y")
    assert (asked.returncode, asked.stdout) == (0, "refused\nrefused\n"), asked.stderr

    project.workflows(WORKFLOWS.replace("ROLE", f"arn:aws:iam::{ACCOUNT}:role/nobodys"))
    refused = project.cli("run", "reads", "-y", "--json")
    found = json.loads(refused.stdout)
    assert (refused.returncode, found["kind"]) == (77, "permission")
    assert found["reason"] == "cloud-access"
    assert "role/nobodys" in found["error"]["message"]
    assert f"trust policy must let {MACHINES} do sts:AssumeRole" in found["error"]["hint"]
    assert emulator.machines() == []
