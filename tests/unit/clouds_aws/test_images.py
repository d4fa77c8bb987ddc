"""Which image for which machine."""

from __future__ import annotations

from typing import Any

import pytest

from dstack_cloud.clouds.aws.images import Image, recipe, starts_slower
from dstack_cloud.clouds.base import MachineImage
from dstack_cloud.resources import Gpu
from dstack_cloud.units import GIB


def of(offer: Any, gpu: str | None, **more: Any) -> Any:
    return recipe(offer(gpu=gpu and Gpu(gpu, 1, GIB), **more))


@pytest.mark.parametrize(
    "gpu", ["T4", "T4G", "A10G", "L4", "L40S", "A100", "H100", "H200", "B200", "RTX PRO 6000"]
)
def test_turing_and_newer_boot_the_ready_image(offer: Any, gpu: str) -> None:
    found = of(offer, gpu)
    assert (found.ready, found.driver) == (True, None)
    assert "/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/" in found.source


@pytest.mark.parametrize(("gpu", "driver"), [("V100", "535"), ("M60", "535"), ("K80", "470")])
def test_older_ones_boot_stock_ubuntu_with_their_driver(offer: Any, gpu: str, driver: str) -> None:
    found = of(offer, gpu)
    assert (found.ready, found.driver) == (False, driver)
    assert "/canonical/ubuntu/server/22.04/stable/current/amd64/" in found.source


def test_without_a_gpu_stock_ubuntu_without_a_driver(offer: Any) -> None:
    found = of(offer, None)
    assert (found.ready, found.driver) == (False, None)
    assert "/canonical/ubuntu/server/24.04/stable/current/amd64/" in found.source


def test_arm_machines_get_arm_images(offer: Any) -> None:
    assert "/current/arm64/" in of(offer, None, architecture="arm64").source
    assert "/ami/arm64/" in of(offer, "T4G", architecture="arm64").source


def test_a_configured_image_wins_and_counts_as_ready(offer: Any) -> None:
    old = offer(gpu=Gpu("K80", 1, GIB))
    found = recipe(old, "ami-mine")
    assert (found.source, found.ready, found.driver) == ("ami-mine", True, None)
    assert starts_slower(old)
    assert not starts_slower(old, "ami-mine")


@pytest.mark.parametrize(
    ("disk", "expected"),
    [(None, 145), (1, 45), (60 * GIB, 60), (60 * GIB + 1, 61), (45 * GIB, 45)],
)
def test_the_volume_holds_the_request_and_the_image(disk: int | None, expected: int) -> None:
    image = Image(MachineImage("ami-1", ready=True), "/dev/sda1", 45 * GIB)
    assert image.volume_gib(disk) == expected
