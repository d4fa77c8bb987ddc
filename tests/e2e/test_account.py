"""Credentials, permissions, store and account that do not fit: told plainly, nothing launched.

On every cloud what each has: Google Cloud knows neither profiles nor keys of two halves, and makes
a default network with every project.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.emulated import EVERY_STUB, Emulator, Project
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


@EVERY_STUB
@pytest.mark.parametrize("verb", [("run", "train", "-y"), ("ps",)])
def test_no_credentials(stub: Emulator, account: Project, verb: tuple[str, ...]) -> None:
    without, values, told = stub.words.no_credentials
    found = refused(stub, account.but(*without, **values), *verb, people=False)
    assert (found.document["kind"], found.document["exit_code"]) == ("credentials", 77)
    assert told in found.told


@pytest.mark.parametrize(
    ("without", "values", "told"),
    [
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


@EVERY_STUB
def test_a_user_without_permissions(stub: Emulator, account: Project, tmp_path: Path) -> None:
    nobody = account.but(**stub.account.nobody(tmp_path / "key.json"))
    found = refused(stub, nobody, "run", "train", "-y")
    assert (found.document["kind"], found.document["exit_code"]) == ("permission", 77)
    assert stub.words.denied in found.told


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


@EVERY_STUB
def test_a_busy_cloud(stub: Emulator, account: Project) -> None:
    fault = {"action": stub.words.launch, **stub.words.busy, "times": None}
    stub.post("/_emulator/faults", fault)
    done = account.cli("run", "train", "-y", "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["kind"]) == (75, "throttled")
    assert stub.machines() == []
    assert account.json("ps", "--all")["runs"][-1]["state"] == "failed"


@EVERY_STUB
def test_an_endpoint_that_nobody_listens_at(stub: Emulator, account: Project) -> None:
    away = account.but(**stub.words.away)
    done = away.cli("run", "train", "-y", "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["kind"]) == (75, "unreachable")


@EVERY_STUB
def test_a_quota_of_nothing(stub: Emulator, account: Project) -> None:
    order, told = stub.words.no_quota
    stub.post("/_emulator/quota", order)
    found = refused(stub, account, "run", "train", "-y")
    assert (found.document["kind"], found.document["exit_code"]) == ("quota", 77)
    assert "dstack-cloud check" in found.told
    assert told in found.told


def _store(stub: Emulator, project: Project, folder: Path, bucket: str) -> Project:
    section = {"store": f"{stub.words.scheme}://{bucket}"}
    return project.configured(folder / "config.yaml", **{stub.words.cloud: section})


@EVERY_STUB
def test_a_bucket_that_belongs_to_another(stub: Emulator, account: Project, tmp_path: Path) -> None:
    stub.post("/_emulator/foreign-buckets", {"name": "somebody-elses"})
    found = refused(stub, _store(stub, account, tmp_path, "somebody-elses"), "run", "train", "-y")
    assert (found.document["kind"], found.document["exit_code"]) == ("permission", 77)
    assert "'somebody-elses'" in found.told
    assert stub.words.foreign in found.told


@EVERY_STUB
def test_a_bucket_that_is_not_there(stub: Emulator, account: Project, tmp_path: Path) -> None:
    # Only who may see all buckets is told that one is not there.
    owner = stub.account.owner(tmp_path / "key.json")
    project = _store(stub, account, tmp_path, "nowhere-at-all").but(**owner)
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
