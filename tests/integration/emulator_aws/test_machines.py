"""Instances and the machines behind them: how each ends, and what EC2 then says."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from support.emulated_aws import MARK, Aws, code_of, fleet


def launch(ec2: Any, image: str, **more: Any) -> str:
    asked = {"ImageId": image, "InstanceType": "m5.large", "MinCount": 1, "MaxCount": 1, **more}
    return str(ec2.run_instances(**asked)["Instances"][0]["InstanceId"])


def describe(ec2: Any, instance_id: str) -> dict[str, Any]:
    found = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    return dict(found[0]["Instances"][0])


def until(ec2: Any, instance_id: str, state: str) -> dict[str, Any]:
    """The instance once it is in a state; fails after ten seconds."""
    deadline = time.monotonic() + 10
    while (found := describe(ec2, instance_id))["State"]["Name"] != state:
        assert time.monotonic() < deadline, found["State"]
        time.sleep(0.02)
    return found


def test_terminate_takes_machine_disk_and_interface(aws: Aws, ec2: Any, image: str) -> None:
    instance_id = launch(ec2, image)
    before = describe(ec2, instance_id)
    assert before["State"]["Name"] == "running"
    change = ec2.terminate_instances(InstanceIds=[instance_id])["TerminatingInstances"][0]
    assert change["PreviousState"]["Name"] == "running"
    assert change["CurrentState"]["Name"] in ("shutting-down", "terminated")
    after = until(ec2, instance_id, "terminated")
    assert after["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert aws.machine(instance_id)["state"] == "off"
    volume = before["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    assert code_of(ec2.describe_volumes, VolumeIds=[volume])[0] == "InvalidVolume.NotFound"
    nic = before["NetworkInterfaces"][0]["NetworkInterfaceId"]
    assert code_of(ec2.describe_network_interfaces, NetworkInterfaceIds=[nic])[0] == (
        "InvalidNetworkInterfaceID.NotFound"
    )
    # Once more is harmless.
    again = ec2.terminate_instances(InstanceIds=[instance_id])["TerminatingInstances"][0]
    assert again["CurrentState"]["Name"] == "terminated"


@pytest.mark.parametrize(("behavior", "state"), [("terminate", "terminated"), ("stop", "stopped")])
def test_a_machine_that_powers_off_follows_its_shutdown_behavior(
    aws: Aws, ec2: Any, image: str, behavior: str, state: str
) -> None:
    instance_id = launch(ec2, image, InstanceInitiatedShutdownBehavior=behavior)
    aws.control("POST", f"machines/{instance_id}/poweroff")
    after = until(ec2, instance_id, state)
    assert after["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_a_fleet_machine_that_powers_off_is_terminated(
    aws: Aws, ec2: Any, template: Any, subnets: dict[str, str]
) -> None:
    override = {"InstanceType": "m5.large", "SubnetId": subnets["us-east-1a"]}
    answer = ec2.create_fleet(**fleet(template(), [override]))
    instance_id = answer["Instances"][0]["InstanceIds"][0]
    aws.control("POST", f"machines/{instance_id}/poweroff")
    assert until(ec2, instance_id, "terminated")


def test_a_power_cut_is_told_from_a_shutdown(aws: Aws, ec2: Any, image: str) -> None:
    instance_id = launch(ec2, image)
    aws.control("POST", f"machines/{instance_id}/kill")
    assert until(ec2, instance_id, "terminated")["StateReason"]["Code"] == "Server.InternalError"


def _spot(ec2: Any, image: str) -> str:
    return launch(ec2, image, InstanceMarketOptions={"MarketType": "spot"})


def test_an_interruption_gives_notice_then_ends_the_machine(aws: Aws, ec2: Any, image: str) -> None:
    instance_id = _spot(ec2, image)
    aws.control("POST", f"machines/{instance_id}/interrupt", {"notice_s": 120})
    notices = aws.machine(instance_id)["notices"]
    assert any("spot/instance-action" in path for path in notices)
    assert describe(ec2, instance_id)["State"]["Name"] == "running"
    aws.control("POST", "clock", {"advance_s": 121})
    after = until(ec2, instance_id, "terminated")
    assert after["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    request = ec2.describe_spot_instance_requests(
        SpotInstanceRequestIds=[after["SpotInstanceRequestId"]]
    )["SpotInstanceRequests"][0]
    assert request["State"] == "closed"
    assert request["Status"]["Code"] == "instance-terminated-no-capacity"


def test_only_spot_is_interrupted(aws: Aws, ec2: Any, image: str) -> None:
    instance_id = launch(ec2, image)
    with pytest.raises(AssertionError, match="not a spot instance"):
        aws.control("POST", f"machines/{instance_id}/interrupt", {"notice_s": 1})


def test_a_spot_machine_cannot_be_stopped(ec2: Any, image: str) -> None:
    instance_id = _spot(ec2, image)
    code = code_of(ec2.stop_instances, InstanceIds=[instance_id])
    assert code == ("UnsupportedOperation", 400)


def test_a_stopped_machine_is_off(aws: Aws, ec2: Any, image: str) -> None:
    instance_id = launch(ec2, image)
    ec2.stop_instances(InstanceIds=[instance_id])
    until(ec2, instance_id, "stopped")
    assert aws.machine(instance_id)["state"] == "off"
    ec2.terminate_instances(InstanceIds=[instance_id])
    until(ec2, instance_id, "terminated")


def test_one_unknown_id_terminates_nothing(ec2: Any, image: str) -> None:
    instance_id = launch(ec2, image)
    ids = [instance_id, "i-0123456789abcdef0"]
    assert code_of(ec2.terminate_instances, InstanceIds=ids)[0] == "InvalidInstanceID.NotFound"
    assert describe(ec2, instance_id)["State"]["Name"] == "running"


def test_no_public_address_where_none_is_asked_for(
    ec2: Any, image: str, subnets: dict[str, str]
) -> None:
    interface = {
        "DeviceIndex": 0,
        "SubnetId": subnets["us-east-1a"],
        "AssociatePublicIpAddress": False,
    }
    found = describe(ec2, launch(ec2, image, NetworkInterfaces=[interface]))
    assert "PublicIpAddress" not in found
    assert found["PrivateIpAddress"].startswith("127.")


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
        ({"InstanceType": "m5.enormous"}, "InvalidParameterValue"),
        ({"InstanceType": "m6g.large"}, "InvalidParameterValue"),
        ({"SubnetId": "subnet-0123456789abcdef0"}, "InvalidSubnetID.NotFound"),
        ({"SecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound"),
        ({"IamInstanceProfile": {"Name": "nobody"}}, "InvalidParameterValue"),
        ({"UserData": "x" * 16385}, "InvalidParameterValue"),
        (
            {"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 4}}]},
            "InvalidBlockDeviceMapping",
        ),
        ({"Placement": {"AvailabilityZone": "us-east-1z"}}, "InvalidParameterValue"),
    ],
)
def test_bad_parameters_are_refused_before_anything_starts(
    aws: Aws, ec2: Any, image: str, change: dict[str, Any], code: str
) -> None:
    before = len(aws.control("GET", "machines"))
    with pytest.raises(Exception, match=code.replace(".", r"\.")):
        launch(ec2, image, **change)
    assert len(aws.control("GET", "machines")) == before


def test_several_machines_are_one_reservation(ec2: Any, image: str) -> None:
    answer = ec2.run_instances(
        ImageId=image,
        InstanceType="m5.large",
        MinCount=1,
        MaxCount=3,
        TagSpecifications=[{"ResourceType": "instance", "Tags": MARK}],
    )
    ids = [i["InstanceId"] for i in answer["Instances"]]
    assert len(set(ids)) == 3
    found = ec2.describe_instances(InstanceIds=ids)["Reservations"]
    assert [r["ReservationId"] for r in found] == [answer["ReservationId"]]


def test_a_key_pair_must_exist(ec2: Any, image: str) -> None:
    asked = {"ImageId": image, "InstanceType": "m5.large", "MinCount": 1, "MaxCount": 1}
    code, _ = code_of(ec2.run_instances, **asked, KeyName="nobody-has-it")
    assert code == "InvalidKeyPair.NotFound"
    ec2.create_key_pair(KeyName="mine", KeyType="ed25519")
    instance_id = launch(ec2, image, KeyName="mine")
    assert describe(ec2, instance_id)["KeyName"] == "mine"
    ec2.terminate_instances(InstanceIds=[instance_id])
