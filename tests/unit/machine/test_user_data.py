"""What a machine is told to do before anybody reaches it."""

from __future__ import annotations

import gzip
import shlex

import yaml

from dstack_cloud.clouds.base import MachineImage
from dstack_cloud.machine.user_data import cloud_config, user_data


def _script(**more: object) -> str:
    text = cloud_config(
        MachineImage("an-image", ready=True),
        host_key_private="PRIVATE",
        host_key_public="ssh-ed25519 AAAA",
        authorized_key="ssh-ed25519 BBBB me",
        no_job=60,
        heartbeat=30,
        **more,  # type: ignore[arg-type]
    )
    return str(yaml.safe_load(text)["bootcmd"][0][2])


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


def test_a_ready_image_is_provisioned_only_where_it_lacks_something() -> None:
    boot = _boot(MachineImage("ami-1", ready=True))
    (look,) = [line for line in boot if line.startswith("if {")]
    assert "command -v rclone" in look
    assert any("unit=dstack-provision" in line for line in boot)
    stock = _boot(MachineImage("ami-1", ready=False))
    assert "if { false; } >/dev/null 2>&1; then" in stock


def test_a_machine_of_google_is_deleted_before_it_powers_itself_off() -> None:
    script = _script(cloud="gcp", endpoints={"compute": "http://host:1/compute/v1/"})
    timer = script[script.index("end() {") :]
    assert timer.index("/run/dstack/delete.py") < timer.index("systemctl poweroff")
    assert "http://host:1/compute/v1/projects/%s/zones/" in script
    assert "https://compute.googleapis.com/compute/v1/projects/" in _script(cloud="gcp")
    assert "set_host_keys = false" in script


def test_a_machine_of_aws_hears_nothing_of_google() -> None:
    script = _script()
    assert "delete.py" not in script
    assert "instance_configs" not in script


def test_user_data_is_as_each_cloud_takes_it() -> None:
    image = MachineImage("an-image", ready=True)
    given = {
        "host_key_private": "PRIVATE",
        "host_key_public": "ssh-ed25519 AAAA",
        "authorized_key": "ssh-ed25519 BBBB me",
    }
    text = user_data(image, no_job=60, heartbeat=30, cloud="gcp", **given)
    assert text.decode().startswith("#cloud-config\n")
    packed = user_data(image, no_job=60, heartbeat=30, cloud="aws", **given)
    assert gzip.decompress(packed).startswith(b"#cloud-config\n")
