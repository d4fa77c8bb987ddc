"""Callers who may not do everything, or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from support.emulated_aws import STORE, Aws

from dstack_cloud import errors
from dstack_cloud.clouds.aws import policies
from dstack_cloud.clouds.aws.cloud import AwsCloud
from dstack_cloud.clouds.base import FailureKind, Scope

ACCOUNT = "123456789012"


def without(*actions: str) -> dict[str, Any]:
    """The run policy and a denial of these actions."""
    document = policies.render("run", account=ACCOUNT, bucket=STORE)
    deny = {"Effect": "Deny", "Action": list(actions), "Resource": "*"}
    return {**document, "Statement": [*document["Statement"], deny]}


@pytest.fixture
def limited(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A cloud of a user whose policy lacks the actions."""
    made: list[AwsCloud] = []

    def make(*actions: str) -> AwsCloud:
        body = {"name": "limited", "policy": without(*actions)}
        key = aws.control("POST", "users", body)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["access_key_id"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["secret_access_key"])
        made.append(AwsCloud(store_url=f"s3://{STORE}"))
        return made[-1]

    yield make
    for cloud in made:
        cloud.close()


@pytest.mark.parametrize("denied", ["ec2:CreateFleet", "ec2:CreateLaunchTemplate"])
def test_without_fleets_run_instances(aws: Aws, limited: Any, new: Any, denied: str) -> None:
    cloud = limited(denied)
    asked = new.request()
    machine = cloud.launch(asked).machine
    assert machine is not None
    assert (machine.machine, machine.spot, machine.run) == ("g4dn.xlarge", True, asked.run)
    assert len(aws.calls("RunInstances")) == 1
    again = cloud.launch(asked).machine
    assert again.id == machine.id
    assert len(aws.calls(denied.split(":")[1])) == 1, "asked once, then remembered"
    instance = aws.client("ec2").describe_instances(InstanceIds=[machine.id])
    options = instance["Reservations"][0]["Instances"][0]["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)
    assert aws.client("ec2").describe_launch_templates()["LaunchTemplates"] == []


def test_the_fallback_goes_pool_by_pool_and_repeats_nothing(
    aws: Aws, limited: Any, new: Any
) -> None:
    cloud = limited("ec2:CreateFleet")
    fault = {
        "action": "RunInstances",
        "match": {"instance_type": "g4dn.xlarge"},
        "error": "InsufficientInstanceCapacity",
        "http": 500,
        "times": None,
    }
    aws.control("POST", "faults", fault)
    answer = cloud.launch(new.request(new.offer(), new.offer("g4dn.2xlarge", price="0.21", cpu=8)))
    assert answer.machine is not None
    assert answer.machine.machine == "g4dn.2xlarge"
    assert [(f.kind, f.zone) for f in answer.failures] == [
        (FailureKind.CAPACITY, "us-east-1a"),
        (FailureKind.CAPACITY, "us-east-1b"),
    ]
    assert len(aws.calls("RunInstances")) == 3


def test_neither_is_permission_denied_at_once(aws: Aws, limited: Any, new: Any) -> None:
    cloud = limited("ec2:CreateFleet", "ec2:RunInstances")
    with pytest.raises(errors.PermissionDeniedError, match="UnauthorizedOperation") as caught:
        cloud.launch(new.request(new.offer(), new.offer("g5.xlarge")))
    assert "run.json" in (caught.value.hint or "")
    assert len(aws.calls("RunInstances")) == 1
    assert aws.client("ec2").describe_launch_templates()["LaunchTemplates"] == []


def test_an_organizations_denial_leaves_other_regions(aws: Aws, cloud: AwsCloud, new: Any) -> None:
    for action in ("CreateFleet", "RunInstances"):
        fault = {
            "action": action,
            "error": "UnauthorizedOperation",
            "http": 403,
            "message": "You are not authorized … with an explicit deny in a service control policy",
        }
        aws.control("POST", "faults", fault)
    answer = cloud.launch(new.request())
    [failure] = answer.failures
    assert (failure.kind, failure.scope) == (FailureKind.PERMISSION, Scope.REGION)


def test_no_way_in_means_no_machine(aws: Aws, limited: Any, new: Any) -> None:
    cloud = limited("ec2:AuthorizeSecurityGroupIngress")
    asked = new.request()
    with pytest.raises(errors.PermissionDeniedError, match=r"letting 127\.0\.0\.1/32 reach SSH"):
        cloud.launch(asked)
    aws.control("GET", "machines?until=none&wait=10")
    assert cloud.machines("us-east-1", asked.run) == []


def test_an_unknown_key(aws: Aws, new: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODY0000000000")
    with pytest.raises(errors.CredentialsError):
        AwsCloud().launch(new.request())


def test_no_key(aws: Aws, new: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(errors.CredentialsError, match="no AWS credentials"):
        AwsCloud().machines("us-east-1")


def test_an_expired_session(aws: Aws, cloud: AwsCloud) -> None:
    aws.control("POST", "faults", {"action": "DescribeInstances", "error": "ExpiredToken"})
    with pytest.raises(errors.CredentialsError) as caught:
        cloud.machines("us-east-1")
    assert "aws sso login" in (caught.value.hint or "")


def test_no_such_profile(aws: Aws) -> None:
    with pytest.raises(errors.CredentialsError, match="nobody"):
        AwsCloud(profile="nobody").machines("us-east-1")


def test_a_region_that_is_none(monkeypatch: pytest.MonkeyPatch, aws: Aws) -> None:
    with pytest.raises(errors.InputError):
        AwsCloud().machines("not a region")


def test_nobody_answers(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(errors.UnreachableError):
        AwsCloud().machines("us-east-1")
