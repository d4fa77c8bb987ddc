"""The request for a fleet, and what is read from its answer."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from dstack_cloud import errors
from dstack_cloud.clouds.aws import run_instances
from dstack_cloud.clouds.aws.fleet import fleet_request, read_answer
from dstack_cloud.clouds.aws.groups import Pool, group, pools
from dstack_cloud.clouds.aws.images import Image
from dstack_cloud.clouds.aws.names import part_token, rule_description, template_name
from dstack_cloud.clouds.aws.placement import split
from dstack_cloud.clouds.aws.template import Blueprint
from dstack_cloud.clouds.base import FailureKind, MachineImage
from dstack_cloud.units import GIB

IMAGE = Image(MachineImage("ami-1", ready=True), "/dev/sda1", 45 * GIB)


@pytest.fixture
def two(offer: Any, network: Any) -> list[Pool]:
    first = offer("g4dn.xlarge", zones=("us-east-1a", "us-east-1b"))
    return pools(group([first, offer("g5.xlarge")])[0], network)


def overrides(parameters: dict[str, Any]) -> list[dict[str, Any]]:
    return list(parameters["LaunchTemplateConfigs"][0]["Overrides"])


def test_spot_is_ranked_and_capped(two: list[Pool], request_for: Any) -> None:
    request = request_for(max_price=Decimal("0.30"))
    found = fleet_request(request, "template", "t", two)
    assert found["Type"] == "instant"
    assert found["ClientToken"] == "t"
    assert found["SpotOptions"]["AllocationStrategy"] == "capacity-optimized-prioritized"
    assert found["TargetCapacitySpecification"]["DefaultTargetCapacityType"] == "spot"
    assert overrides(found) == [
        {"InstanceType": kind, "SubnetId": subnet, "Priority": rank, "MaxPrice": "0.30"}
        for rank, (kind, subnet) in enumerate(
            [("g4dn.xlarge", "subnet-a"), ("g4dn.xlarge", "subnet-b"), ("g5.xlarge", "subnet-a")]
        )
    ]


def test_on_demand_is_ranked_and_has_no_cap(offer: Any, network: Any, request_for: Any) -> None:
    found = fleet_request(
        request_for(max_price=Decimal(1)),
        "template",
        "t",
        pools(group([offer(spot=False)])[0], network),
    )
    assert found["OnDemandOptions"] == {"AllocationStrategy": "prioritized"}
    assert "SpotOptions" not in found
    assert "MaxPrice" not in overrides(found)[0]


def test_the_template_protects(request_for: Any) -> None:
    deadline = datetime(2026, 1, 2, tzinfo=UTC)
    data = Blueprint(request_for(deadline=deadline), IMAGE, "role", True).data(("sg-1",))
    assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert data["IamInstanceProfile"] == {"Name": "role"}
    disk = data["BlockDeviceMappings"][0]
    assert disk["DeviceName"] == "/dev/sda1"
    assert disk["Ebs"] == {
        "VolumeSize": 145,
        "VolumeType": "gp3",
        "Encrypted": True,
        "DeleteOnTermination": True,
    }
    assert data["NetworkInterfaces"][0]["Groups"] == ["sg-1"]
    assert base64.b64decode(data["UserData"]) == b"#cloud-config\n"
    for specification in data["TagSpecifications"]:
        assert {tag["Key"]: tag["Value"] for tag in specification["Tags"]} == {
            "dstack-cloud": "ada@host",
            "dstack-cloud:run": "train-7",
            "dstack-cloud:attempt": "2",
            "dstack-cloud:deadline": "2026-01-02T00:00:00.000Z",
            "Name": "train-7-2",
        }
    assert [one["ResourceType"] for one in data["TagSpecifications"]] == ["instance", "volume"]


def test_user_data_knows_the_image_and_its_limit(request_for: Any) -> None:
    seen = []

    def render(image: MachineImage) -> bytes:
        seen.append(image)
        return b"x" * 16385

    with pytest.raises(errors.InternalError, match="16385 bytes"):
        Blueprint(request_for(user_data=render), IMAGE, "role", True).data(("sg-1",))
    assert seen == [IMAGE.machine]


def test_run_instances_asks_for_the_same(two: list[Pool], request_for: Any) -> None:
    blueprint = Blueprint(request_for(max_price=Decimal("0.5")), IMAGE, "role", False)
    data = blueprint.data(("sg-1",))
    found = run_instances.parameters(blueprint, data, two[1])
    interface = found.pop("NetworkInterfaces")[0]
    assert interface["SubnetId"] == "subnet-b"
    assert interface["AssociatePublicIpAddress"] is False
    assert found["InstanceType"] == "g4dn.xlarge"
    assert found["UserData"] == b"#cloud-config\n"
    assert found["InstanceMarketOptions"]["SpotOptions"] == {
        "SpotInstanceType": "one-time",
        "InstanceInterruptionBehavior": "terminate",
        "MaxPrice": "0.5",
    }
    shared = set(data) - {"NetworkInterfaces", "UserData"}
    assert {key: found[key] for key in shared} == {key: data[key] for key in shared}
    tokens = {run_instances.parameters(blueprint, data, pool)["ClientToken"] for pool in two}
    assert len(tokens) == 3
    assert all(len(token) <= 64 for token in tokens)


def item(kind: str, subnet: str, code: str) -> dict[str, Any]:
    pool = {"Overrides": {"InstanceType": kind, "SubnetId": subnet}}
    return {"LaunchTemplateAndOverrides": pool, "ErrorCode": code, "ErrorMessage": f"no: {code}"}


def test_a_machine_and_what_failed_before_it(two: list[Pool]) -> None:
    answer = {
        "Errors": [item("g4dn.xlarge", "subnet-a", "InsufficientInstanceCapacity")],
        "Instances": [
            {
                "InstanceIds": ["i-1"],
                "InstanceType": "g4dn.xlarge",
                "LaunchTemplateAndOverrides": {"Overrides": {"SubnetId": "subnet-b"}},
            }
        ],
    }
    found = read_answer(answer, two, "us-east-1")
    assert found.launched == (("i-1",), two[1])
    [failure] = found.failures
    assert (failure.kind, failure.zone, failure.offer) == (
        FailureKind.CAPACITY,
        "us-east-1a",
        two[0].offer,
    )
    assert failure.message == "no: InsufficientInstanceCapacity"


def test_failures_without_a_machine_are_an_answer(two: list[Pool]) -> None:
    codes = ["InsufficientInstanceCapacity", "UnauthorizedOperation"]
    answer = {"Errors": [item("g5.xlarge", "subnet-a", code) for code in codes]}
    found = read_answer(answer, two, "us-east-1")
    assert found.launched is None
    assert [failure.code for failure in found.failures] == codes
    assert {failure.offer.machine for failure in found.failures} == {"g5.xlarge"}


def test_permission_everywhere_is_raised(two: list[Pool]) -> None:
    answer = {"Errors": [item("g5.xlarge", "subnet-a", "UnauthorizedOperation")] * 2}
    with pytest.raises(errors.PermissionDeniedError):
        read_answer(answer, two, "us-east-1")


def test_neither_machine_nor_error_is_told_plainly(two: list[Pool]) -> None:
    with pytest.raises(errors.TryAgainError, match="launched nothing in us-east-1"):
        read_answer({"FleetId": "fleet-1", "Errors": [], "Instances": []}, two, "us-east-1")


def test_names(request_for: Any) -> None:
    token = part_token("token", 0)
    assert token == part_token("token", 0) != part_token("token", 1)
    assert len(token) == 64
    assert template_name(request_for(), token) == f"dstack-cloud-train-7-2-{token[:8]}"
    assert rule_description("ada@host/ü'") == "dstack-cloud ada@host/--"


def test_the_nodes_of_a_run_come_all_or_none_from_one_zone(
    request_for: Any, two: list[Pool]
) -> None:
    found = fleet_request(replace(request_for(), nodes=3), "template", "token", two)
    assert found["TargetCapacitySpecification"]["TotalTargetCapacity"] == 3
    options = found.get("SpotOptions") or found["OnDemandOptions"]
    assert options["MinTargetCapacity"] == 3
    assert options["SingleAvailabilityZone"] is options["SingleInstanceType"] is True
    alone = fleet_request(request_for(), "template", "token", two)
    assert "MinTargetCapacity" not in (alone.get("SpotOptions") or alone["OnDemandOptions"])


def test_all_nodes_of_an_answer_are_told_and_fewer_are_none(two: list[Pool]) -> None:
    answer = {"Instances": [{"InstanceIds": ["i-1", "i-2"], "InstanceType": "g5.xlarge"}]}
    found = read_answer(answer, two, "us-east-1", 2)
    assert found.launched is not None
    assert found.launched[0] == ("i-1", "i-2")
    with pytest.raises(errors.TryAgainError):
        read_answer(answer, two, "us-east-1", 3)


def test_types_that_can_be_in_a_cluster_are_asked_for_apart(two: list[Pool]) -> None:
    assert split(two, {"g4dn.xlarge", "g5.xlarge"}) == [(two, True)]
    assert split(two, set()) == [(two, False)]
    first, last = two[:2], two[2:]
    assert split(two, {"g4dn.xlarge"}) == [(first, True), (last, False)]
    assert split(two, {"g5.xlarge"}) == [(first, False), (last, True)]
