"""CreateFleet(type=instant) as the product uses it."""

from __future__ import annotations

from typing import Any

import pytest
from support.emulated_aws import Aws, code_of, fleet


def _described(ec2: Any, answer: dict[str, Any]) -> dict[str, Any]:
    ids = answer["Instances"][0]["InstanceIds"]
    found: dict[str, Any] = ec2.describe_instances(InstanceIds=ids)["Reservations"][0]
    return dict(found["Instances"][0])


def test_the_launch_template_reaches_the_machine(
    aws: Aws, ec2: Any, template: Any, subnets: dict[str, str], profile: str
) -> None:
    made = template(IamInstanceProfile={"Name": profile})
    zone = "us-east-1b"
    override = {"InstanceType": "g4dn.xlarge", "SubnetId": subnets[zone], "Priority": 0.0}
    answer = ec2.create_fleet(**fleet(made, [override]))
    assert answer["Errors"] == []
    given = answer["Instances"][0]
    assert given["Lifecycle"] == "spot"
    assert given["LaunchTemplateAndOverrides"]["Overrides"] == override

    instance = _described(ec2, answer)
    assert instance["InstanceType"] == "g4dn.xlarge"
    assert instance["Placement"]["AvailabilityZone"] == zone
    assert instance["InstanceLifecycle"] == "spot"
    assert instance["SpotInstanceRequestId"].startswith("sir-")
    assert instance["IamInstanceProfile"]["Arn"].endswith(f"instance-profile/{profile}")
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    tags = {t["Key"]: t["Value"] for t in instance["Tags"]}
    assert tags["dstack-cloud"] == "run-1"
    assert tags["aws:ec2:fleet-id"] == answer["FleetId"]

    behavior = ec2.describe_instance_attribute(
        InstanceId=instance["InstanceId"], Attribute="instanceInitiatedShutdownBehavior"
    )
    assert behavior["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    volume = ec2.describe_volumes(
        VolumeIds=[instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]]
    )["Volumes"][0]
    assert (volume["Size"], volume["Encrypted"]) == (120, True)
    assert {"Key": "dstack-cloud", "Value": "run-1"} in volume["Tags"]

    # The address is the machine's own, not one that moto made up.
    machine = aws.machine(instance["InstanceId"])
    assert instance["PrivateIpAddress"] == machine["address"]
    assert instance["PublicIpAddress"] == machine["address"]


def test_each_pool_that_gave_nothing_is_an_error_with_its_override(
    aws: Aws, ec2: Any, template: Any, subnets: dict[str, str]
) -> None:
    fault = {
        "action": "CreateFleet",
        "match": {"instance_type": "p*", "zone": "us-east-1a"},
        "error": "InsufficientInstanceCapacity",
        "times": 1,
    }
    aws.control("POST", "faults", fault)
    overrides = [
        {"InstanceType": "p3.2xlarge", "SubnetId": subnets["us-east-1a"], "Priority": 0.0},
        {"InstanceType": "p2.xlarge", "SubnetId": subnets["us-east-1a"], "Priority": 1.0},
        {"InstanceType": "p2.xlarge", "SubnetId": subnets["us-east-1b"], "Priority": 2.0},
    ]
    answer = ec2.create_fleet(**fleet(template(), overrides))
    errors = answer["Errors"]
    assert [e["ErrorCode"] for e in errors] == ["InsufficientInstanceCapacity"] * 2
    assert [e["LaunchTemplateAndOverrides"]["Overrides"] for e in errors] == overrides[:2]
    assert answer["Instances"][0]["LaunchTemplateAndOverrides"]["Overrides"] == overrides[2]

    # One call used the fault up, however many pools it struck.
    assert aws.control("GET", "faults")[0]["struck"] == 1
    again = ec2.create_fleet(**fleet(template(), overrides))
    assert again["Errors"] == []
    assert again["Instances"][0]["InstanceType"] == "p3.2xlarge"


def test_priorities_are_followed_whatever_the_order_of_the_overrides(
    ec2: Any, template: Any, subnets: dict[str, str]
) -> None:
    subnet = subnets["us-east-1a"]
    overrides = [
        {"InstanceType": "m5.2xlarge", "SubnetId": subnet, "Priority": 2.0},
        {"InstanceType": "m5.large", "SubnetId": subnet, "Priority": 1.0},
    ]
    demand = {"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "on-demand"}
    answer = ec2.create_fleet(
        **fleet(
            template(),
            overrides,
            TargetCapacitySpecification=demand,
            OnDemandOptions={"AllocationStrategy": "prioritized"},
        )
    )
    assert answer["Instances"][0]["InstanceType"] == "m5.large"
    assert answer["Instances"][0]["Lifecycle"] == "on-demand"
    instance = _described(ec2, answer)
    assert "InstanceLifecycle" not in instance
    assert "SpotInstanceRequestId" not in instance


def test_a_price_below_the_market_gets_nothing(
    aws: Aws, ec2: Any, template: Any, subnets: dict[str, str]
) -> None:
    aws.control(
        "POST",
        "spot-price",
        {"instance_type": "g4dn.xlarge", "zone": "us-east-1a", "price": "0.5"},
    )
    overrides = [
        {
            "InstanceType": "g4dn.xlarge",
            "SubnetId": subnets["us-east-1a"],
            "MaxPrice": "0.49",
        }
    ]
    answer = ec2.create_fleet(**fleet(template(), overrides))
    assert answer["Instances"] == []
    assert answer["Errors"][0]["ErrorCode"] == "SpotMaxPriceTooLow"


@pytest.mark.parametrize(
    ("spot", "code", "error"),
    [
        (True, "L-3819A6DF", "MaxSpotInstanceCountExceeded"),
        (False, "L-DB2E81BA", "VcpuLimitExceeded"),
    ],
)
def test_a_quota_of_zero_gives_nothing(
    aws: Aws, ec2: Any, template: Any, subnets: dict[str, str], spot: bool, code: str, error: str
) -> None:
    aws.control("POST", "quota", {"code": code, "value": 0})
    quotas = aws.client("service-quotas")
    value = quotas.get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]["Value"]
    assert value == 0
    kind = "spot" if spot else "on-demand"
    capacity = {"TotalTargetCapacity": 1, "DefaultTargetCapacityType": kind}
    override = {"InstanceType": "g4dn.xlarge", "SubnetId": subnets["us-east-1a"]}
    answer = ec2.create_fleet(**fleet(template(), [override], TargetCapacitySpecification=capacity))
    assert answer["Instances"] == []
    assert [e["ErrorCode"] for e in answer["Errors"]] == [error]


def test_a_type_that_a_zone_does_not_offer_is_unsupported_there(
    ec2: Any, template: Any, subnets: dict[str, str]
) -> None:
    rows = ec2.describe_instance_type_offerings(
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": ["p2.xlarge"]}],
    )["InstanceTypeOfferings"]
    missing = min(set(subnets) - {r["Location"] for r in rows})
    override = {"InstanceType": "p2.xlarge", "SubnetId": subnets[missing]}
    answer = ec2.create_fleet(**fleet(template(), [override]))
    assert [e["ErrorCode"] for e in answer["Errors"]] == ["Unsupported"]


def test_no_template_is_an_error_of_the_whole_call(ec2: Any) -> None:
    asked = fleet("lt-0123456789abcdef0", [{"InstanceType": "m5.large"}])
    assert code_of(ec2.create_fleet, **asked)[0] == "InvalidLaunchTemplateId.NotFound"


def test_throttling_is_an_error_of_the_whole_call(
    aws: Aws, ec2: Any, template: Any, subnets: dict[str, str]
) -> None:
    aws.control("POST", "faults", {"action": "CreateFleet", "error": "RequestLimitExceeded"})
    asked = fleet(template(), [{"InstanceType": "m5.large", "SubnetId": subnets["us-east-1a"]}])
    assert code_of(ec2.create_fleet, **asked) == ("RequestLimitExceeded", 503)
    assert ec2.create_fleet(**asked)["Errors"] == []


@pytest.mark.parametrize(("limit", "launched"), [(15, 0), (16, 2)])
def test_a_minimum_is_met_by_one_pool_or_nothing_is_launched(
    aws: Aws, ec2: Any, template: Any, subnets: dict[str, str], limit: int, launched: int
) -> None:
    # Of the family and market that no other test here launches from: 8 vCPUs each.
    aws.control("POST", "quota", {"code": "L-417A185B", "value": limit})
    override = {"InstanceType": "p3.2xlarge", "SubnetId": subnets["us-east-1a"]}
    together = {"MinTargetCapacity": 2, "SingleAvailabilityZone": True, "SingleInstanceType": True}
    capacity = {"TotalTargetCapacity": 2, "DefaultTargetCapacityType": "on-demand"}
    answer = ec2.create_fleet(
        **fleet(
            template(),
            [override],
            TargetCapacitySpecification=capacity,
            OnDemandOptions={"AllocationStrategy": "prioritized", **together},
        )
    )
    assert [len(one["InstanceIds"]) for one in answer["Instances"]] == [launched][: launched // 2]
    assert [one["ErrorCode"] for one in answer["Errors"]] == (
        [] if launched else ["VcpuLimitExceeded"]
    )
