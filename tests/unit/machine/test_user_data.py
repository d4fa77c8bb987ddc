"""What a machine is told to do before anybody reaches it."""

from __future__ import annotations

import shlex

import yaml

from dstack_cloud.clouds.base import MachineImage
from dstack_cloud.machine.user_data import cloud_config


def _boot(image: MachineImage, **settings: str) -> list[str]:
    text = cloud_config(
        image,
        host_key_private="PRIVATE",
        host_key_public="ssh-ed25519 AAAA",
        authorized_key="ssh-ed25519 BBBB me",
        no_job=60,
        heartbeat=30,
        provision="echo provisioning",
        settings=settings,
    )
    return str(yaml.safe_load(text)["bootcmd"][0][2]).splitlines()


def test_a_stock_image_is_told_where_the_toolkit_is() -> None:
    image = MachineImage("ami-1", ready=False, driver="470")
    url = "https://host/deb/a b"
    (line,) = [
        line
        for line in _boot(image, NVIDIA_TOOLKIT_REPOSITORY=url)
        if "unit=dstack-provision" in line
    ]
    words = shlex.split(line)
    assert "--setenv=NVIDIA_DRIVER=470" in words
    assert f"--setenv=NVIDIA_TOOLKIT_REPOSITORY={url}" in words
    assert words[-2:] == ["/bin/sh", "/run/dstack/make-ready.sh"]


def test_a_ready_image_is_not_provisioned() -> None:
    boot = _boot(MachineImage("ami-1", ready=True), NVIDIA_TOOLKIT_REPOSITORY="https://host")
    assert not any("dstack-provision" in line for line in boot)
    assert any("unit=dstack-deadman" in line for line in boot)
