"""What a machine may do with the credentials that its metadata service hands out."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from support.emulated_aws import MARK, Aws

from dstack_cloud.clouds.aws.policies import render

if TYPE_CHECKING:
    from moto_fixtures.aws.emulator import Emulator

ROLE = "machines-of-the-test"


@pytest.fixture(scope="module")
def emulator() -> Iterator[tuple[Emulator, Aws]]:
    """In this process, since the metadata service that would ask for credentials is too."""
    # Not before it is needed: moto reads its settings as it is imported, once a process.
    from moto_fixtures.aws.backends import ACCOUNT
    from moto_fixtures.aws.control import AwsControl
    from moto_fixtures.aws.emulator import Emulator
    from moto_fixtures.aws.regions import warm
    from moto_fixtures.machine.stub import StubMachines
    from moto_fixtures.shared.http import Server
    from moto_fixtures.shared.serve import Front

    emulator = Emulator()
    emulator.use(StubMachines(emulator.instances.on_exit))
    warm(emulator)
    front = Front(emulator, AwsControl(emulator, "store", {}), ["127.0.0.1"])
    server = Server(("127.0.0.1", 0), front, "AmazonEC2")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    aws = Aws(f"http://127.0.0.1:{server.server_port}")
    iam = aws.client("iam")
    trust = render("machine-trust", account=ACCOUNT, bucket="store")
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(trust))
    policy = render("machine", account=ACCOUNT, bucket="store")
    iam.put_role_policy(RoleName=ROLE, PolicyName="p", PolicyDocument=json.dumps(policy))
    iam.create_instance_profile(InstanceProfileName=ROLE)
    iam.add_role_to_instance_profile(InstanceProfileName=ROLE, RoleName=ROLE)
    yield emulator, aws
    server.shutdown()
    server.server_close()


def launch(aws: Aws) -> dict[str, Any]:
    ec2 = aws.client("ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    answer = ec2.run_instances(
        ImageId=image,
        InstanceType="m5.large",
        MinCount=1,
        MaxCount=1,
        IamInstanceProfile={"Name": ROLE},
        TagSpecifications=[{"ResourceType": "instance", "Tags": MARK}],
    )
    return dict(answer["Instances"][0])


def send(aws: Aws, source: str, key: dict[str, str], **form: str) -> tuple[int, str]:
    """A signed call of EC2 from an address; status and body."""
    body = urlencode({"Version": "2016-11-15", **form})
    request = AWSRequest("POST", f"{aws.url}/", data=body)
    request.headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
    held = Credentials(key["AccessKeyId"], key["SecretAccessKey"], key["Token"])
    SigV4Auth(held, "ec2", "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection(
        aws.url.removeprefix("http://"), timeout=10, source_address=(source, 0)
    )
    connection.request("POST", "/", body, dict(request.headers))
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_a_machine_ends_itself_and_no_other(emulator: tuple[Emulator, Aws]) -> None:
    inner, aws = emulator
    mine, other = launch(aws), launch(aws)
    key = inner.identities.machine_credentials(ROLE, mine["InstanceId"])
    source = mine["PrivateIpAddress"]
    terminate = {"Action": "TerminateInstances"}
    status, text = send(aws, source, key, **terminate, **{"InstanceId.1": other["InstanceId"]})
    assert (status, "UnauthorizedOperation" in text) == (403, True)
    status, text = send(aws, source, key, **terminate, **{"InstanceId.1": mine["InstanceId"]})
    assert status == 200, text
    calls = aws.calls("TerminateInstances")
    assert {c["principal"] for c in calls} == {f"role/{ROLE}/{mine['InstanceId']}"}
    states = {
        i["InstanceId"]: i["State"]["Name"]
        for r in aws.client("ec2").describe_instances()["Reservations"]
        for i in r["Instances"]
    }
    assert states[mine["InstanceId"]] in ("shutting-down", "terminated")
    assert states[other["InstanceId"]] == "running"


def test_a_machine_that_lost_its_tag_may_not_even_end_itself(
    emulator: tuple[Emulator, Aws],
) -> None:
    inner, aws = emulator
    mine = launch(aws)
    aws.client("ec2").delete_tags(Resources=[mine["InstanceId"]], Tags=MARK)
    key = inner.identities.machine_credentials(ROLE, mine["InstanceId"])
    form = {"Action": "TerminateInstances", "InstanceId.1": mine["InstanceId"]}
    status, _ = send(aws, mine["PrivateIpAddress"], key, **form)
    assert status == 403
