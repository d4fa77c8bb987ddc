"""Who bakes machine images needs `images.json` besides `run.json`, and nothing more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from support import permissions
from support.aws_server import serving
from support.emulated import wait_until
from support.emulated_aws import STORE, TAGS, Aws, code_of

from dstack_cloud.clouds.aws import policies
from dstack_cloud.clouds.aws.baked import AwsImages
from dstack_cloud.clouds.base import Machine, MachineState
from dstack_cloud.errors import PermissionDeniedError
from dstack_cloud.machine_images import Baked, Base, Contents

UBUNTU = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
BASE = Base("/canonical/24.04", "535")
OURS = {"Filters": [{"Name": "tag-key", "Values": ["dstack-cloud"]}]}


@dataclass(frozen=True)
class Clients:
    """What `AwsImages` asks of a session."""

    client: Any

    def ec2(self, region: str) -> Any:
        return self.client


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with serving(f"policies-images-{os.getpid()}") as found:
        yield found


def as_user(aws: Aws, name: str, *given: str) -> AwsImages:
    """The images, by a user with these policies."""
    documents = [policies.render(one, account="123456789012", bucket=STORE) for one in given]
    statements = [one for document in documents for one in document["Statement"]]
    policy = {"Version": "2012-10-17", "Statement": statements}
    key = aws.control("POST", "users", {"name": name, "policy": policy})
    return AwsImages(Clients(aws.client("ec2", key=key)), name, None)  # type: ignore[arg-type]


def builder(aws: Aws, tags: list[Any]) -> Machine:
    """A machine, as the account's owner launches one."""
    found = aws.client("ssm").get_parameters(Names=[UBUNTU])["Parameters"]
    launched = aws.client("ec2").run_instances(
        ImageId=found[0]["Value"],
        InstanceType="c5.large",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=tags,
    )
    instance = launched["Instances"][0]["InstanceId"]
    return Machine("aws", "us-east-1", instance, "c5.large", MachineState.RUNNING)


def of(aws: Aws, who: str) -> list[dict[str, Any]]:
    return [call for call in aws.calls() if call["principal"] == f"user/{who}"]


def test_an_image_is_made_found_and_deleted_with_its_snapshot(aws: Aws) -> None:
    images = as_user(aws, "baker", "run", "images")
    made = images.begin(builder(aws, TAGS), BASE, Contents(docker="28.1"), "image-1")

    def ready() -> Baked | None:
        found = images.find("us-east-1", made)
        return found if found and found.state == "ready" else None

    found = wait_until("the image is ready", ready)
    assert (found.base, found.contents.docker) == (BASE, "28.1")
    assert [one.id for one in images.listing("us-east-1")] == [made]
    snapshots = aws.client("ec2").describe_snapshots(**OURS)["Snapshots"]
    assert [one["SnapshotId"] for one in snapshots] == list(found.parts)
    # What an image is made of cannot be deleted before it.
    refused = code_of(aws.client("ec2").delete_snapshot, SnapshotId=found.parts[0])
    assert refused == ("InvalidSnapshot.InUse", 400)
    images.delete(found)
    assert images.find("us-east-1", made) is None
    assert aws.client("ec2").describe_snapshots(**OURS)["Snapshots"] == []

    calls = of(aws, "baker")
    assert permissions.denied(calls) == []
    mine = permissions.allowed("images")
    assert mine - permissions.asked(calls) == set(), "allowed, never used"
    assert {one for one in permissions.undocumented("images", calls) if one[1] in mine} == set()
    assert permissions.never_seen("images", calls) == [], "in docs/aws.md, never seen"


def test_a_call_whose_answer_was_lost_makes_no_second_image(aws: Aws) -> None:
    images = as_user(aws, "twice", "run", "images")
    machine = builder(aws, TAGS)
    made = images.begin(machine, BASE, Contents(), "image-2")
    assert images.begin(machine, BASE, Contents(), "image-2") == made


def test_who_runs_only_and_who_means_another_machine_are_refused(aws: Aws) -> None:
    with pytest.raises(PermissionDeniedError):
        as_user(aws, "eater", "run").begin(builder(aws, TAGS), BASE, Contents(), "image-3")
    strange = builder(aws, [])
    with pytest.raises(PermissionDeniedError):
        as_user(aws, "baker", "run", "images").begin(strange, BASE, Contents(), "image-4")


def test_an_image_that_is_gone_is_deleted_without_a_word(aws: Aws) -> None:
    root = AwsImages(Clients(aws.client("ec2")), "root", None)  # type: ignore[arg-type]
    made = root.begin(builder(aws, TAGS), BASE, Contents(), "image-5")
    found = root.find("us-east-1", made)
    assert found is not None
    root.delete(found)
    root.delete(found)
