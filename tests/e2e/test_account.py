"""Credentials, permissions, store and account that do not fit: told plainly, nothing launched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.emulated import Emulator, Project
from support.refusals import refused

FLEET = {"gpu": "T4", "interruptible": True}
WORKFLOW = f"""
    workflows:
      - name: train
        provider: docker
        image: ubuntu
        commands: [echo never]
        resources: {json.dumps(FLEET)}
"""
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture
def account(stub: Emulator, stub_project: Project) -> Iterator[Project]:
    """A user's repository; faults and quotas are as before afterwards."""
    stub_project.workflows(WORKFLOW)
    yield stub_project
    stub.delete("/_emulator/faults")
    stub.delete("/_emulator/quota")


@pytest.mark.parametrize(
    ("without", "values", "told"),
    [
        (KEYS, {"AWS_EC2_METADATA_DISABLED": "true"}, "aws configure"),
        (KEYS, {"AWS_PROFILE": "nope"}, "there is no AWS profile 'nope'"),
        ((), {"AWS_SECRET_ACCESS_KEY": "wrong"}, ""),
        ((), {"AWS_ACCESS_KEY_ID": "AKIANOBODY"}, ""),
    ],
)
@pytest.mark.parametrize("verb", [("run", "train", "-y"), ("ps",)])
def test_credentials(
    stub: Emulator,
    account: Project,
    verb: tuple[str, ...],
    without: tuple[str, ...],
    values: dict[str, str],
    told: str,
) -> None:
    found = refused(stub, account.but(*without, **values), *verb, people=False)
    assert (found.document["kind"], found.document["exit_code"]) == ("credentials", 77)
    assert told in found.told
    assert found.document["hint"]


def test_the_keys_are_never_shown(stub: Emulator, account: Project) -> None:
    secret = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY0"
    found = refused(stub, account.but(AWS_SECRET_ACCESS_KEY=secret), "run", "train", "-y")
    assert secret not in found.words + json.dumps(found.document)


def test_a_user_without_permissions(stub: Emulator, account: Project) -> None:
    key = stub.post("/_emulator/users", {"name": "nobody"})
    nobody = account.but(
        AWS_ACCESS_KEY_ID=key["access_key_id"], AWS_SECRET_ACCESS_KEY=key["secret_access_key"]
    )
    found = refused(stub, nobody, "run", "train", "-y")
    assert (found.document["kind"], found.document["exit_code"]) == ("permission", 77)
    assert "policies/run.json" in found.told


@pytest.mark.parametrize("service", ["ec2", "s3"])
@pytest.mark.parametrize(
    ("code", "kind", "status", "told"),
    [
        ("ExpiredToken", "credentials", 77, "aws sso login"),
        ("RequestTimeTooSkewed", "credentials", 77, "clock is wrong"),
    ],
)
def test_expired_and_skewed(
    stub: Emulator, account: Project, service: str, code: str, kind: str, status: int, told: str
) -> None:
    action = "CreateLaunchTemplate" if service == "ec2" else "*"
    match = {} if service == "ec2" else {"service": "s3"}
    fault = {"action": action, "match": match, "error": code, "http": 400, "times": None}
    stub.post("/_emulator/faults", fault)
    done = account.cli("run", "train", "-y", "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["kind"]) == (status, kind)
    assert told in f"{error['message']} {error['hint']}"
    assert stub.machines() == []


def test_a_busy_cloud(stub: Emulator, account: Project) -> None:
    fault = {"action": "CreateFleet", "error": "RequestLimitExceeded", "http": 503, "times": None}
    stub.post("/_emulator/faults", fault)
    done = account.cli("run", "train", "-y", "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["kind"]) == (75, "throttled")
    assert stub.machines() == []
    assert account.json("ps", "--all")["runs"][-1]["state"] == "failed"


def test_an_endpoint_that_nobody_listens_at(account: Project) -> None:
    away = account.but(AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1")
    done = away.cli("run", "train", "-y", "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["kind"]) == (75, "unreachable")


def test_a_quota_of_nothing(stub: Emulator, account: Project) -> None:
    # All G and VT Spot Instance Requests (docs.aws.amazon.com/ec2/latest/instancetypes).
    stub.post("/_emulator/quota", {"code": "L-3819A6DF", "value": 0})
    found = refused(stub, account, "run", "train", "-y")
    assert (found.document["kind"], found.document["exit_code"]) == ("quota", 77)
    assert "dstack-cloud check" in found.told
    assert "0 vCPUs" in found.told


def _store(project: Project, folder: Path, url: str) -> Project:
    return project.configured(folder / "config.yaml", aws={"store": url})


def test_a_bucket_that_belongs_to_another(stub: Emulator, account: Project, tmp_path: Path) -> None:
    stub.post("/_emulator/foreign-buckets", {"name": "somebody-elses"})
    found = refused(stub, _store(account, tmp_path, "s3://somebody-elses"), "run", "train", "-y")
    assert (found.document["kind"], found.document["exit_code"]) == ("permission", 77)
    assert "'somebody-elses'" in found.told
    assert "may belong to another account" in found.told


def test_a_bucket_that_is_not_there(stub: Emulator, account: Project, tmp_path: Path) -> None:
    # Only who may see all buckets is told that one is not there.
    project = _store(account, tmp_path, "s3://nowhere-at-all").but(
        AWS_ACCESS_KEY_ID="admin", AWS_SECRET_ACCESS_KEY="admin"
    )
    found = refused(stub, project, "run", "train", "-y")
    assert (found.document["kind"], found.document["exit_code"]) == ("not-found", 64)
    assert "dstack-cloud init" in found.told


def test_no_default_vpc(stub: Emulator, account: Project) -> None:
    ec2: Any = boto3.client(
        "ec2",
        region_name="eu-west-3",
        endpoint_url=account.environ["AWS_ENDPOINT_URL"],
        aws_access_key_id="admin",
        aws_secret_access_key="admin",
    )
    for subnet in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    done = account.cli("run", "train", "-y", "--json", "--region", "eu-west-3")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["kind"]) == (2, "input")
    assert "no default VPC in eu-west-3" in error["message"]
    assert "aws.subnets" in error["hint"]
    assert "aws ec2 create-default-vpc --region eu-west-3" in error["hint"]
    assert stub.machines() == []


def test_check_tells_what_to_do_about_each(stub: Emulator, account: Project) -> None:
    stub.post("/_emulator/quota", {"code": "L-3819A6DF", "value": 0})
    for action, code in (
        ("DescribeSubnets", "UnauthorizedOperation"),
        ("PutObject", "AccessDenied"),
        ("GetInstanceProfile", "NoSuchEntity"),
        ("DescribeImages", "UnauthorizedOperation"),
    ):
        fault = {"action": action, "error": code, "http": 403, "times": None}
        stub.post("/_emulator/faults", fault)
    done = account.cli("check", "--json")
    assert done.returncode == 77, done.stderr
    checks = {row["name"]: row for row in json.loads(done.stdout)["checks"]}
    failed = {name for name, row in checks.items() if row["ok"] is False}
    assert {"network", "store", "machines' role"} <= failed
    assert any(name.startswith("quota") for name in failed)
    assert any(name.startswith("image") for name in failed)
    assert [name for name in failed if not checks[name]["hint"]] == []
    assert stub.machines() == []
