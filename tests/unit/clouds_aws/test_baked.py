"""Images of our own on AWS: which a launch takes, and what is read of them."""

from __future__ import annotations

import time
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

from dstack_cloud.clouds.aws import baked
from dstack_cloud.clouds.aws.images import Image, Recipe
from dstack_cloud.clouds.aws.prepare import Prepared
from dstack_cloud.clouds.aws.settings import Settings
from dstack_cloud.clouds.base import MachineImage
from dstack_cloud.errors import InputError, ThrottledError
from dstack_cloud.machine_images import Base, Contents, base_of, newest
from dstack_cloud.units import GIB

CPU = Recipe("/canonical/24.04", ready=False)
OLD = Recipe("/canonical/22.04", ready=False, driver="535")


def facts(ami: str = "ami-1", made: str = "2026-11-24T20:31:00.000Z", **more: Any) -> Any:
    tags = {
        "dstack-cloud": "ada@host",
        "dstack-cloud:base": CPU.source,
        "dstack-cloud:driver": "none",
        "dstack-cloud:has:docker": "28.1",
        "dstack-cloud:has:nvidia": "580.1",
        **more.pop("tags", {}),
    }
    return {
        "ImageId": ami,
        "Name": "n",
        "State": "available",
        "CreationDate": made,
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": "snap-1", "VolumeSize": 20}},
            {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"},
        ],
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        **more,
    }


class Ec2:
    """Answers DescribeImages, and keeps what it was asked."""

    def __init__(self, *images: Any) -> None:
        self.images = images
        self.asked: list[Any] = []

    def describe_images(self, **parameters: Any) -> Any:
        self.asked.append(parameters)
        return {"Images": list(self.images)}


def test_an_image_as_ec2_describes_it() -> None:
    found = baked.as_baked(facts(), "us-east-1")
    assert (found.id, found.state, found.size) == ("ami-1", "ready", 20 * GIB)
    assert found.made_at == datetime(2026, 11, 24, 20, 31, tzinfo=UTC)
    assert found.base == base_of(CPU)
    assert found.contents == Contents(docker="28.1", nvidia="580.1")
    assert found.parts == ("snap-1",)


def test_the_newest_that_can_be_booted_takes_the_place_of_its_base() -> None:
    ec2 = Ec2(
        facts("ami-old", "2026-11-01T00:00:00.000Z"),
        facts("ami-new", "2026-11-20T00:00:00.000Z"),
        facts("ami-half", "2026-11-24T00:00:00.000Z", State="pending"),
        facts("ami-gpu", tags={"dstack-cloud:base": OLD.source, "dstack-cloud:driver": "535"}),
    )
    found = baked.replacements(ec2, "us-east-1")
    assert {base: image.machine.id for base, image in found.items()} == {
        base_of(CPU): "ami-new",
        base_of(OLD): "ami-gpu",
    }
    cpu, gpu = found[base_of(CPU)], found[base_of(OLD)]
    assert (cpu.root_device, cpu.size, cpu.machine.ready) == ("/dev/xvda", 20 * GIB, True)
    assert gpu.machine.driver == "535"


def test_only_images_of_the_callers_own_account_count() -> None:
    ec2 = Ec2()
    baked.replacements(ec2, "us-east-1")
    assert [one["Owners"] for one in ec2.asked] == [["self"]]


def test_an_image_that_does_not_say_what_it_was_made_from_is_never_taken() -> None:
    image = baked.as_baked({**facts(), "Tags": []}, "us-east-1")
    assert image.base is None
    assert newest([image]) == {}


def settled(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    if isinstance(value, BaseException):
        future.set_exception(value)
    else:
        future.set_result(value)
    return future


def prepared(stock: Any, own: Any, *recipes: Recipe) -> Prepared:
    settings, none = Settings(), settled(None)
    return Prepared(
        *("us-east-1", settings, time.monotonic(), frozenset(recipes)),
        *(settled(stock), none, none, None, None if own is None else settled(own)),
    )


def image(ami: str) -> Image:
    return Image(MachineImage(ami, ready=True), "/dev/sda1", 8 * GIB)


OWN = {base_of(CPU): image("ami-own")}
STOCK = {CPU: image("ami-stock"), OLD: image("ami-22")}


def test_a_launch_takes_the_baked_image_where_there_is_one() -> None:
    ready = prepared(STOCK, OWN, CPU, OLD)
    assert {how: one.machine.id for how, one in ready.images().items()} == {
        CPU: "ami-own",
        OLD: "ami-22",
    }
    assert ready.uses_baked()


def test_where_all_are_baked_no_stock_image_is_needed() -> None:
    ready = prepared(InputError("the region has no such parameter"), OWN, CPU)
    assert ready.images()[CPU].machine.id == "ami-own"


def test_without_any_or_where_they_cannot_be_read_the_stock_image() -> None:
    for own in ({}, None, ThrottledError("busy"), {Base("another"): image("ami-x")}):
        ready = prepared(STOCK, own, CPU, OLD)
        assert ready.images() == STOCK
        assert not ready.uses_baked()
