"""What init makes, check tells, and gc finds."""

from __future__ import annotations

from typing import Any

import pytest
from support.emulated_aws import STORE, Aws

from dstack_cloud import errors
from dstack_cloud.clouds.aws.cloud import AwsCloud
from dstack_cloud.clouds.aws.init import init
from dstack_cloud.clouds.aws.quotas import vcpu_limits
from dstack_cloud.clouds.base import Check
from dstack_cloud.config import AwsConfig


def wanted(**more: Any) -> AwsConfig:
    given: dict[str, Any] = {"store": f"s3://{STORE}", "regions": ("us-east-1",), **more}
    return AwsConfig(**given)


def test_init_again_changes_nothing(aws: Aws, login: Any) -> None:
    login("dstack-admin")
    said = dict(init(wanted()))
    assert all("made" not in detail for detail in said.values()), said
    writes = [
        call["action"]
        for call in aws.calls()
        if call["outcome"] == "ok" and call["action"].startswith(("Create", "Put", "Add"))
    ]
    assert writes == ["PutRolePolicy"]


def test_init_elsewhere_with_a_prefix(aws: Aws, login: Any) -> None:
    """The administrator's policy is for one store: another one takes more rights."""
    login("root")
    said = dict(init(wanted(store="s3://elsewhere-1/team/a", regions=("eu-central-1",))))
    assert said["bucket"] == "elsewhere-1 in eu-central-1: made"
    s3 = aws.client("s3", region="eu-central-1")
    place = s3.get_bucket_location(Bucket="elsewhere-1")["LocationConstraint"]
    assert place == "eu-central-1"
    block = s3.get_public_access_block(Bucket="elsewhere-1")["PublicAccessBlockConfiguration"]
    assert all(block.values())
    [rule] = s3.get_bucket_lifecycle_configuration(Bucket="elsewhere-1")["Rules"]
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    iam = aws.client("iam")
    policy = iam.get_role_policy(
        RoleName="dstack-cloud-machine", PolicyName="store-elsewhere-1-team-a"
    )["PolicyDocument"]
    use = next(one for one in policy["Statement"] if one["Sid"] == "UseStore")
    assert use["Resource"] == "arn:aws:s3:::elsewhere-1/team/a/*"
    names = iam.list_role_policies(RoleName="dstack-cloud-machine")["PolicyNames"]
    assert f"store-{STORE}" in names, "the first store's policy stays"


def test_a_bucket_with_rules_of_its_own_keeps_them(aws: Aws, login: Any) -> None:
    login("root")
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="with-rules")
    own = {
        "ID": "own",
        "Status": "Enabled",
        "Filter": {"Prefix": "tmp/"},
        "Expiration": {"Days": 3},
    }
    s3.put_bucket_lifecycle_configuration(
        Bucket="with-rules", LifecycleConfiguration={"Rules": [own]}
    )
    list(init(wanted(store="s3://with-rules")))
    rules = s3.get_bucket_lifecycle_configuration(Bucket="with-rules")["Rules"]
    assert [rule["ID"] for rule in rules] == ["own", "dstack-cloud-abort-incomplete-uploads"]


def test_a_bucket_of_another_account(aws: Aws, login: Any) -> None:
    login("root")
    aws.control("POST", "foreign-buckets", {"name": "someone-elses"})
    with pytest.raises(errors.PermissionDeniedError, match="another account") as caught:
        list(init(wanted(store="s3://someone-elses")))
    assert "--store" in (caught.value.hint or "")


def test_a_name_that_no_bucket_can_have(aws: Aws, login: Any) -> None:
    login("root")
    with pytest.raises(errors.InputError):
        list(init(wanted(store="s3://Not_A_Bucket")))


def test_the_daily_user_may_not_init(aws: Aws) -> None:
    with pytest.raises(errors.PermissionDeniedError):
        list(init(wanted()))


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {one.name: one for one in checks}


def test_check_is_content_after_init(aws: Aws, cloud: AwsCloud, new: Any) -> None:
    assert cloud.launch(new.request()).machine is not None
    found = list(cloud.check("us-east-1"))
    assert [one for one in found if one.ok is not True] == []
    assert by_name(found)["credentials"].detail.endswith("user/dstack-daily")
    ec2 = aws.client("ec2")
    assert ec2.describe_launch_templates()["LaunchTemplates"] == [], "nothing is left behind"
    alive = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    assert len(ec2.describe_instances(Filters=alive)["Reservations"]) == 1
    assert "Contents" not in aws.client("s3").list_objects_v2(Bucket=STORE)


def test_check_says_what_is_missing(aws: Aws, cloud: AwsCloud) -> None:
    aws.control("POST", "quota", {"code": "L-3819A6DF", "value": 0})
    found = by_name(list(cloud.check("eu-west-2")))
    assert found["network"].ok is False
    assert "dstack-cloud init" in (found["network"].hint or "")
    quota = found["quota spot G and VT instances"]
    assert quota.ok is False
    assert "--quota-code L-3819A6DF" in (quota.hint or "")
    assert found["quota on-demand G and VT instances"].ok
    assert found["launching"].ok is None


def test_check_without_credentials_stops_there(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    found = list(AwsCloud().check("us-east-1"))
    assert [(one.name, one.ok) for one in found] == [("credentials", False)]


def test_check_of_a_user_who_may_do_nothing(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    key = aws.control("POST", "users", {"name": "powerless"})
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["secret_access_key"])
    found = by_name(list(AwsCloud(store_url=f"s3://{STORE}").check("us-east-1")))
    assert found.pop("credentials").ok
    assert found.pop("way in").ok
    assert [one.name for one in found.values() if one.ok] == []
    assert all(one.hint for one in found.values() if one.ok is False)


def test_limits(aws: Aws, cloud: AwsCloud) -> None:
    aws.control("POST", "quota", {"code": "L-7212CCBC", "value": 96})
    client = cloud.sessions.client("service-quotas", "us-east-1")
    limits = vcpu_limits(client, "us-east-1", cloud.pool)
    assert limits[("P", True)] == 96
    assert len(limits) == 6


def test_what_the_quotas_forbid(aws: Aws, cloud: AwsCloud, new: Any) -> None:
    aws.control("POST", "quota", {"code": "L-3819A6DF", "value": 0, "region": "us-east-1"})
    here, there = new.offer(), new.offer(region="us-west-2")
    found = cloud.forbidden([here, there, new.offer(spot=False)])
    assert found == {here: "quota: 0 vCPUs of spot G and VT instances in us-east-1"}


def test_quotas_that_cannot_be_read_forbid_nothing(aws: Aws, cloud: AwsCloud, new: Any) -> None:
    aws.control("POST", "quota", {"code": "L-3819A6DF", "value": 0})
    fault = {"action": "GetServiceQuota", "error": "AccessDeniedException", "times": None}
    aws.control("POST", "faults", fault)
    assert cloud.forbidden([new.offer()]) == {}


def test_leftovers_and_their_removal(aws: Aws, cloud: AwsCloud, new: Any) -> None:
    asked = new.request()
    machine = cloud.launch(asked).machine
    assert machine is not None
    aws.client("ec2").create_launch_template(
        LaunchTemplateName="dstack-cloud-train-9-3-abc",
        LaunchTemplateData={"InstanceType": "t3.micro"},
        TagSpecifications=[
            {
                "ResourceType": "launch-template",
                "Tags": [
                    {"Key": "dstack-cloud", "Value": "ada@host"},
                    {"Key": "dstack-cloud:store", "Value": f"s3://{STORE}"},
                    {"Key": "dstack-cloud:run", "Value": "train-9"},
                    {"Key": "dstack-cloud:attempt", "Value": "3"},
                ],
            }
        ],
    )
    found = {one.kind: one for one in cloud.leftovers("us-east-1")}
    assert (found["machine"].id, found["machine"].run) == (machine.id, asked.run)
    template = found["launch-template"]
    assert (template.id, template.run, template.attempt) == (
        "dstack-cloud-train-9-3-abc",
        "train-9",
        3,
    )
    assert "ssh-rule" not in found, "a machine may still need the rule"
    for one in found.values():
        cloud.remove(one)
    aws.control("GET", "machines?until=none&wait=10")
    rest = cloud.leftovers("us-east-1")
    assert {one.kind for one in rest} == {"ssh-rule"}
    assert rest[0].detail == "dstack-cloud ada@host"
    for one in [*found.values(), *rest, *rest]:
        cloud.remove(one)
    assert cloud.leftovers("us-east-1") == []


def test_runs_of_another_store_are_not_ours(aws: Aws, cloud: AwsCloud, new: Any) -> None:
    """Two teams of one account may both have a train-1: neither may clear the other's machine."""
    asked = new.request()
    machine = cloud.launch(asked).machine
    assert machine is not None
    other = AwsCloud(store_url="s3://another-bucket")
    assert other.machines("us-east-1", asked.run) == []
    # The SSH rule, too, serves the machine that is there.
    assert other.leftovers("us-east-1") == []
    assert [one.id for one in cloud.machines("us-east-1", asked.run)] == [machine.id]
    assert {one.kind for one in cloud.leftovers("us-east-1")} == {"machine"}
    other.close()
