"""Subnets, groups, addresses: the default VPC and everything else."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support.emulated_aws import Aws

from dstack_cloud import errors
from dstack_cloud.clouds.aws.address import caller_address
from dstack_cloud.clouds.aws.cloud import AwsCloud


@pytest.fixture
def own_vpc(aws: Aws) -> dict[str, str]:
    """A VPC that is not the default one: a subnet in us-east-1b, a security group."""
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.7.1.0/24", AvailabilityZone="us-east-1b")[
        "Subnet"
    ]["SubnetId"]
    group = ec2.create_security_group(GroupName="mine", Description="mine", VpcId=vpc)["GroupId"]
    return {"vpc": vpc, "subnet": subnet, "group": group}


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    """The address of a server that says this, once."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"


def rules(aws: Aws, group: str) -> list[str]:
    [found] = aws.client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"]
    return [one["CidrIp"] for rule in found["IpPermissions"] for one in rule["IpRanges"]]


def test_subnets_and_groups_of_ones_own(aws: Aws, own_vpc: dict[str, str], new: Any) -> None:
    cloud = AwsCloud(subnets=[own_vpc["subnet"]], security_groups=[own_vpc["group"]])
    machine = cloud.launch(new.request()).machine
    assert machine is not None
    assert machine.zone == "us-east-1b"
    cloud.admit(machine)
    cloud.close()
    [reservation] = aws.client("ec2").describe_instances(InstanceIds=[machine.id])["Reservations"]
    instance = reservation["Instances"][0]
    assert instance["SubnetId"] == own_vpc["subnet"]
    assert [group["GroupId"] for group in instance["SecurityGroups"]] == [own_vpc["group"]]
    assert rules(aws, own_vpc["group"]) == []
    assert aws.calls("AuthorizeSecurityGroupIngress") == []


def test_without_public_addresses_the_vpc_is_let_in(
    aws: Aws, own_vpc: dict[str, str], login: Any, new: Any
) -> None:
    from dstack_cloud.clouds.aws.init import init
    from dstack_cloud.config import AwsConfig

    login("dstack-admin")
    subnets = (own_vpc["subnet"],)
    said = dict(
        init(AwsConfig(store="s3://dstack-cloud-demo", regions=("us-east-1",), subnets=subnets))
    )
    assert own_vpc["vpc"] in said["security group"]
    login("dstack-daily")
    cloud = AwsCloud(subnets=subnets, public_ip=False, jump_host="ec2-user@bastion")
    machine = cloud.launch(new.request()).machine
    cloud.close()
    assert machine is not None
    [reservation] = aws.client("ec2").describe_instances(InstanceIds=[machine.id])["Reservations"]
    instance = reservation["Instances"][0]
    assert machine.address == instance["PrivateIpAddress"]
    assert "PublicIpAddress" not in instance
    assert machine.jump_host == "ec2-user@bastion"
    assert rules(aws, instance["SecurityGroups"][0]["GroupId"]) == ["10.7.0.0/16"]


def test_no_default_vpc(aws: Aws, new: Any) -> None:
    ec2 = aws.client("ec2", region="eu-west-3")
    for subnet in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    with pytest.raises(errors.InputError, match="no default VPC in eu-west-3") as caught:
        AwsCloud().launch(new.request(new.offer(region="eu-west-3", zones=("eu-west-3a",))))
    assert "aws.subnets" in (caught.value.hint or "")


def test_no_group_asks_for_init(aws: Aws, new: Any) -> None:
    with pytest.raises(errors.InputError, match="no security group 'dstack-cloud'") as caught:
        AwsCloud().launch(new.request(new.offer(region="eu-west-1", zones=("eu-west-1a",))))
    assert "dstack-cloud init --cloud aws --region eu-west-1" in (caught.value.hint or "")


def test_configured_subnets_of_another_region(aws: Aws, new: Any) -> None:
    with pytest.raises(errors.InputError, match=r"aws\.subnets is in us-east-1"):
        AwsCloud(subnets=["subnet-0123456789abcdef0"]).launch(new.request())


def test_a_configured_image(aws: Aws, new: Any) -> None:
    [ubuntu, *_] = [
        image["ImageId"]
        for image in aws.client("ec2").describe_images()["Images"]
        if "ubuntu-noble-24.04-amd64" in image["Name"]
    ]
    seen = []
    asked = new.request(user_data=lambda image: seen.append(image) or b"#cloud-config\n")
    cloud = AwsCloud(image=ubuntu)
    assert cloud.launch(asked).machine is not None
    cloud.close()
    assert [(image.id, image.ready, image.driver) for image in seen] == [(ubuntu, True, None)]
    assert aws.calls("GetParameters") == []


def test_a_configured_image_that_the_region_does_not_have(aws: Aws, new: Any) -> None:
    with pytest.raises(errors.InputError) as caught:
        AwsCloud(image="ami-0123456789abcdef0").launch(new.request())
    assert "aws.image" in (caught.value.hint or "")
    assert aws.calls("CreateFleet") == []


def test_a_changed_address_is_admitted_beside_the_old_one(
    aws: Aws, cloud: AwsCloud, new: Any
) -> None:
    machine = cloud.launch(new.request()).machine
    assert machine is not None
    with answering(b"203.0.113.7\n") as elsewhere:
        moved = AwsCloud(environ={"AWS_ENDPOINT_URL": elsewhere})
        moved.admit(machine)
        moved.close()
    [reservation] = aws.client("ec2").describe_instances(InstanceIds=[machine.id])["Reservations"]
    group = reservation["Instances"][0]["SecurityGroups"][0]["GroupId"]
    assert {"127.0.0.1/32", "203.0.113.7/32"} <= set(rules(aws, group))


def test_the_callers_address(aws: Aws) -> None:
    assert caller_address({"AWS_ENDPOINT_URL": aws.url}) == "127.0.0.1"


def test_an_answer_that_is_no_address() -> None:
    with (
        answering(b"<html>please log in</html>") as portal,
        pytest.raises(errors.UnreachableError, match="please log in") as caught,
    ):
        caller_address({"AWS_ENDPOINT_URL": portal})
    assert "aws.security_groups" in (caught.value.hint or "")
