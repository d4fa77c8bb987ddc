"""Launching: one fleet, what it carries, and that nothing but the machine is left of it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from support.emulated_aws import STORE, Aws

from dstack_cloud import errors
from dstack_cloud.clouds.aws import placement
from dstack_cloud.clouds.aws.cloud import AwsCloud
from dstack_cloud.clouds.base import FailureKind, MachineImage, Scope
from dstack_cloud.resources import Gpu
from dstack_cloud.units import GIB


def described(aws: Aws, machine_id: str) -> dict[str, Any]:
    answer = aws.client("ec2").describe_instances(InstanceIds=[machine_id])
    found: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
    return found


def capacity(machine: str, zone: str = "*", times: int | None = None) -> dict[str, Any]:
    return {
        "action": "CreateFleet",
        "match": {"instance_type": machine, "zone": zone},
        "error": "InsufficientInstanceCapacity",
        "times": times,
    }


def names(aws: Aws) -> list[str]:
    return [call["action"] for call in aws.calls()]


def test_a_machine_with_all_that_protects_it(aws: Aws, cloud: AwsCloud, new: Any) -> None:
    deadline = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    seen: list[MachineImage] = []

    def user_data(image: MachineImage) -> bytes:
        seen.append(image)
        return b"#cloud-config\nbootcmd: []\n"

    asked = new.request(new.offer(), user_data=user_data, deadline=deadline, disk=200 * GIB)
    answer = cloud.launch(asked)
    machine = answer.machine
    assert machine is not None
    assert answer.failures == ()
    assert (machine.machine, machine.zone, machine.spot) == ("g4dn.xlarge", "us-east-1a", True)
    assert (machine.price, machine.on_demand) == (Decimal("0.20"), Decimal("0.526"))
    assert (machine.run, machine.attempt) == (asked.run, 1)
    assert machine.address == aws.machine(machine.id)["address"]
    assert [image.ready for image in seen] == [True]

    instance = described(aws, machine.id)
    assert instance["ImageId"] == seen[0].id
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert instance["IamInstanceProfile"]["Arn"].endswith("/dstack-cloud-machine")
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"] if ":ec2" not in tag["Key"]}
    assert tags == {
        "Name": f"{asked.run}-1",
        "dstack-cloud": "ada@host",
        "dstack-cloud:store": f"s3://{STORE}",
        "dstack-cloud:run": asked.run,
        "dstack-cloud:attempt": "1",
        "dstack-cloud:deadline": "2030-01-02T03:04:05.000Z",
    }
    ec2 = aws.client("ec2")
    [disk] = ec2.describe_volumes(
        VolumeIds=[instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]]
    )["Volumes"]
    assert (disk["Size"], disk["Encrypted"], disk["VolumeType"]) == (200, True, "gp3")
    assert {"Key": "dstack-cloud:run", "Value": asked.run} in disk["Tags"]
    behaviour = ec2.describe_instance_attribute(
        InstanceId=machine.id, Attribute="instanceInitiatedShutdownBehavior"
    )
    assert behaviour["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    [group] = ec2.describe_security_groups(GroupIds=[instance["SecurityGroups"][0]["GroupId"]])[
        "SecurityGroups"
    ]
    [rule] = group["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"], rule["IpProtocol"]) == (22, 22, "tcp")
    assert [one["CidrIp"] for one in rule["IpRanges"]] == ["127.0.0.1/32"]
    assert ec2.describe_launch_templates()["LaunchTemplates"] == []


def test_the_template_goes_when_there_was_no_machine_too(
    aws: Aws, cloud: AwsCloud, new: Any
) -> None:
    aws.control("POST", "faults", capacity("*"))
    answer = cloud.launch(new.request())
    assert answer.machine is None
    assert aws.client("ec2").describe_launch_templates()["LaunchTemplates"] == []
    assert {(f.kind, f.scope, f.zone) for f in answer.failures} == {
        (FailureKind.CAPACITY, Scope.OFFER, "us-east-1a"),
        (FailureKind.CAPACITY, Scope.OFFER, "us-east-1b"),
    }


def test_the_next_zone_and_the_next_type(aws: Aws, cloud: AwsCloud, new: Any) -> None:
    aws.control("POST", "faults", capacity("g4dn.xlarge", "us-east-1a"))
    answer = cloud.launch(new.request())
    assert answer.machine is not None
    assert answer.machine.zone == "us-east-1b"

    aws.control("POST", "faults", capacity("g4dn.xlarge"))
    answer = cloud.launch(new.request(new.offer(), new.offer("g4dn.2xlarge", price="0.22", cpu=8)))
    assert answer.machine is not None
    assert answer.machine.machine == "g4dn.2xlarge"
    assert {failure.offer.machine for failure in answer.failures} == {"g4dn.xlarge"}
    assert names(aws).count("CreateFleet") == 2


def test_another_image_is_another_fleet_in_rank_order(aws: Aws, cloud: AwsCloud, new: Any) -> None:
    aws.control("POST", "faults", capacity("g4dn.xlarge"))
    seen: list[MachineImage] = []

    def user_data(image: MachineImage) -> bytes:
        seen.append(image)
        return b"#cloud-config\n"

    old = new.offer("p2.xlarge", gpu=Gpu("K80", 1, 12 * GIB))
    answer = cloud.launch(new.request(new.offer(), old, user_data=user_data))
    assert answer.machine is not None
    assert answer.machine.machine == "p2.xlarge"
    assert [(image.ready, image.driver) for image in seen] == [(True, None), (False, "470")]
    assert names(aws).count("CreateFleet") == 2
    assert aws.client("ec2").describe_launch_templates()["LaunchTemplates"] == []


def test_on_demand(aws: Aws, cloud: AwsCloud, new: Any) -> None:
    answer = cloud.launch(new.request(new.offer("t3.large", gpu=None, spot=False)))
    assert answer.machine is not None
    assert not answer.machine.spot
    assert "InstanceLifecycle" not in described(aws, answer.machine.id)


def test_a_repeated_call_is_the_same_machine(aws: Aws, cloud: AwsCloud, new: Any) -> None:
    asked = new.request()
    first = cloud.launch(asked)
    second = AwsCloud().launch(asked)
    third = cloud.launch(asked)
    ids = {answer.machine.id for answer in (first, second, third) if answer.machine}
    assert len(ids) == 1
    assert len(cloud.machines("us-east-1", asked.run)) == 1


def test_a_token_used_for_something_else_finds_the_first_machine(
    aws: Aws, cloud: AwsCloud, new: Any
) -> None:
    asked = new.request()
    first = cloud.launch(asked).machine
    other = new.request(new.offer("g5.xlarge"), run=asked.run, token=asked.token)
    again = cloud.launch(other).machine
    assert first is not None
    assert again is not None
    assert again.id == first.id


def test_a_spot_price_above_the_limit(aws: Aws, cloud: AwsCloud, new: Any) -> None:
    body = {"instance_type": "g4dn.xlarge", "zone": "*", "price": "0.5"}
    aws.control("POST", "spot-price", body)
    answer = cloud.launch(new.request(max_price=Decimal("0.30")))
    assert answer.machine is None
    assert {failure.kind for failure in answer.failures} == {FailureKind.PRICE}


def test_a_quota_of_zero(aws: Aws, cloud: AwsCloud, new: Any) -> None:
    aws.control("POST", "quota", {"code": "L-3819A6DF", "value": 0})
    answer = cloud.launch(new.request())
    assert answer.machine is None
    assert {failure.kind for failure in answer.failures} == {FailureKind.QUOTA}


def test_a_region_that_is_not_enabled_is_a_failure_of_that_region(
    aws: Aws, cloud: AwsCloud, new: Any
) -> None:
    aws.control("POST", "faults", {"action": "CreateFleet", "error": "OptInRequired", "http": 401})
    answer = cloud.launch(new.request())
    assert answer.machine is None
    assert [(f.kind, f.scope) for f in answer.failures] == [(FailureKind.PERMISSION, Scope.REGION)]


def test_a_throttled_launch_is_a_passing_failure(aws: Aws, cloud: AwsCloud, new: Any) -> None:
    fault = {"action": "CreateFleet", "error": "RequestLimitExceeded", "times": None}
    aws.control("POST", "faults", fault)
    answer = cloud.launch(new.request())
    assert [(f.kind, f.scope) for f in answer.failures] == [(FailureKind.THROTTLED, Scope.REGION)]
    assert names(aws).count("CreateFleet") > 1, "the SDK tries again first"


def test_a_shutdown_behaviour_that_got_lost_is_set(aws: Aws, cloud: AwsCloud, new: Any) -> None:
    from dstack_cloud.clouds.aws.machines import end_on_power_off

    machine = cloud.launch(new.request()).machine
    assert machine is not None
    root = aws.client("ec2")
    stop = {"Value": "stop"}
    root.modify_instance_attribute(InstanceId=machine.id, InstanceInitiatedShutdownBehavior=stop)
    end_on_power_off(cloud.sessions.ec2("us-east-1"), "us-east-1", machine.id)
    behaviour = root.describe_instance_attribute(
        InstanceId=machine.id, Attribute="instanceInitiatedShutdownBehavior"
    )
    assert behaviour["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"


def test_the_behaviour_is_read_back_after_a_launch(aws: Aws, cloud: AwsCloud, new: Any) -> None:
    cloud.launch(new.request())
    cloud.close()
    [call] = aws.calls("DescribeInstanceAttribute")
    assert call["outcome"] == "ok"


def test_a_template_left_by_a_killed_client_is_replaced(
    aws: Aws, cloud: AwsCloud, new: Any
) -> None:
    from dstack_cloud.clouds.aws.names import part_token, template_name

    asked = new.request()
    name = template_name(asked, part_token(asked.token, "template", 0))
    aws.client("ec2").create_launch_template(
        LaunchTemplateName=name,
        LaunchTemplateData={"InstanceType": "t3.micro"},
        TagSpecifications=[
            {
                "ResourceType": "launch-template",
                "Tags": [{"Key": "dstack-cloud", "Value": "ada@host"}],
            }
        ],
    )
    machine = cloud.launch(asked).machine
    assert machine is not None
    assert machine.machine == "g4dn.xlarge"
    assert aws.client("ec2").describe_launch_templates()["LaunchTemplates"] == []


def test_prepared_is_not_asked_again(aws: Aws, cloud: AwsCloud, new: Any) -> None:
    asked = new.request()
    cloud.prepare(asked.offers)
    assert cloud.launch(asked).machine is not None
    calls = names(aws)
    # Two answers about images: the one to boot, and whether there is one of the user's own.
    for action, times in (("GetParameters", 1), ("DescribeImages", 2), ("DescribeSubnets", 1)):
        assert calls.count(action) == times


def test_no_subnet_in_the_zones_wanted(aws: Aws, cloud: AwsCloud, new: Any) -> None:
    with pytest.raises(errors.InputError, match="no subnet in us-east-1z") as caught:
        cloud.launch(new.request(new.offer(zones=("us-east-1z",))))
    assert "aws.subnets" in (caught.value.hint or "")
    assert "CreateFleet" not in names(aws)


def test_one_template_serves_every_fleet_of_a_launch(aws: Aws, cloud: AwsCloud, new: Any) -> None:
    """Three bands of spot prices, no capacity in the first two: three fleets by one template."""
    offers = [
        new.offer("g4dn.xlarge", price="0.2"),
        new.offer("g4dn.2xlarge", price="0.4"),
        new.offer("g5.xlarge", price="0.8", gpu=Gpu("A10G", 1, 24 * GIB)),
    ]
    aws.control("POST", "faults", capacity("g4dn.*"))
    found = cloud.launch(new.request(*offers))
    assert found.machine is not None
    assert found.machine.machine == "g5.xlarge"
    assert {one.offer.machine for one in found.failures} == {"g4dn.xlarge", "g4dn.2xlarge"}
    calls = names(aws)
    assert (calls.count("CreateFleet"), calls.count("CreateLaunchTemplate")) == (3, 1)
    assert aws.client("ec2").describe_launch_templates()["LaunchTemplates"] == []


def test_no_group_is_made_for_a_type_that_cannot_be_in_one(
    aws: Aws, cloud: AwsCloud, new: Any
) -> None:
    machine = cloud.launch(new.request(new.offer("t3.xlarge", gpu=None), nodes=2)).machine
    assert machine is not None
    assert len(machine.ids) == 2
    assert "CreatePlacementGroup" not in names(aws)


def test_a_launch_that_came_to_nothing_leaves_no_group(aws: Aws, cloud: AwsCloud, new: Any) -> None:
    aws.control("POST", "faults", capacity("*"))
    assert cloud.launch(new.request(nodes=2)).machine is None
    assert "CreatePlacementGroup" in names(aws)
    assert "placement" not in {one.kind for one in cloud.leftovers("us-east-1")}


def test_the_nodes_of_a_run_are_near_each_other_where_their_type_can_be(
    aws: Aws, cloud: AwsCloud, new: Any
) -> None:
    short = capacity("t3.xlarge")
    aws.control("POST", "faults", short)
    asked = new.request(new.offer("t3.xlarge", gpu=None), new.offer(), nodes=2)
    machine = cloud.launch(asked).machine
    assert machine is not None
    assert {one.machine for one in machine.nodes} == {"g4dn.xlarge"}
    groups = {described(aws, one)["Placement"]["GroupName"] for one in machine.ids}
    [group] = groups
    assert group.startswith(f"dstack-cloud-{asked.run}-1-")
    # As long as they are there it cannot go.
    found = next(one for one in cloud.leftovers("us-east-1") if one.kind == "placement")
    assert (found.id, found.run, found.attempt) == (group, asked.run, 1)
    with pytest.raises(errors.TryAgainError, match="machines are still in"):
        placement.delete(cloud.sessions.ec2("us-east-1"), "us-east-1", group)
    cloud.terminate("us-east-1", machine.ids)
    aws.control("GET", "machines?until=none&wait=10")
    rest = cloud.leftovers("us-east-1")
    assert {one.kind for one in rest} == {"placement", "nodes-rule", "ssh-rule"}
    for one in [*rest, *rest]:
        cloud.remove(one)
    assert cloud.leftovers("us-east-1") == []
