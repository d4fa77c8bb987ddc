"""The same client token again: one machine, one answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from support.emulated_aws import Aws, code_of, fleet


def _count(aws: Aws) -> int:
    return len(aws.control("GET", "machines"))


def test_a_repeated_fleet_is_the_same_fleet(
    aws: Aws, ec2: Any, template: Any, subnets: dict[str, str]
) -> None:
    override = {"InstanceType": "m5.large", "SubnetId": subnets["us-east-1a"]}
    asked = fleet(template(), [override], ClientToken="fleet-token")
    before = _count(aws)
    first = ec2.create_fleet(**asked)
    again = ec2.create_fleet(**asked)
    for answer in (first, again):
        del answer["ResponseMetadata"]
    assert first == again
    assert _count(aws) == before + 1

    asked["SpotOptions"] = {"AllocationStrategy": "lowest-price"}
    assert code_of(ec2.create_fleet, **asked) == ("IdempotentParameterMismatch", 400)


def test_calls_at_the_same_time_with_one_token_launch_one_machine(
    aws: Aws, ec2: Any, image: str
) -> None:
    asked = {
        "ImageId": image,
        "InstanceType": "m5.large",
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": "run-token",
    }
    before = _count(aws)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ec2.run_instances(**asked), range(8)))
    assert len({a["Instances"][0]["InstanceId"] for a in answers}) == 1
    assert _count(aws) == before + 1

    asked["InstanceType"] = "m5.xlarge"
    assert code_of(ec2.run_instances, **asked)[0] == "IdempotentParameterMismatch"


def test_a_call_that_failed_may_be_tried_again_with_its_token(
    aws: Aws, ec2: Any, image: str
) -> None:
    fault = {"action": "RunInstances", "error": "InsufficientInstanceCapacity", "times": 1}
    aws.control("POST", "faults", fault)
    asked = {
        "ImageId": image,
        "InstanceType": "m5.large",
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": "again-token",
    }
    assert code_of(ec2.run_instances, **asked) == ("InsufficientInstanceCapacity", 500)
    assert ec2.run_instances(**asked)["Instances"][0]["State"]["Name"] == "pending"
