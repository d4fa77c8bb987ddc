"""Machine images of one's own, baked on real machines and booted by later runs."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest
from support.emulated import ROOT, Emulator, Project, wait_until

from dstack_cloud.clouds.gcp import policies

DOCS = (ROOT / "docs" / "json.md").read_text()
EXAMPLE = json.loads(DOCS.split("```json images list\n")[1].split("```")[0])["images"][0]

HELLO = """
    workflows:
      - name: hello
        provider: docker
        image: ubuntu
        resources: {gpu: 0}
        commands: [echo hello]
"""
# What must not be in an image: keys of the machine and of its users, what cloud-init was told.
LOOK = r"""
find /etc/ssh -name 'ssh_host_*'
find /root /home -name 'authorized_keys*'
find /var/lib/cloud /run/dstack /var/lib/dstack -type f 2>/dev/null
test -s /etc/machine-id && echo /etc/machine-id
grep -rIlE -s 'BEGIN OPENSSH PRIVATE KEY|ssh-ed25519 AAAA|dstack-deadman' /etc /var /root /home /opt
command -v dockerd >/dev/null && command -v rclone >/dev/null || echo 'nothing was installed'
"""


def kept(name: str) -> str:
    """The Docker image that the emulator's machines boot for an image; empty without one."""
    listed = subprocess.run(
        ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return next((line for line in listed.stdout.split() if line.endswith(f":{name}")), "")


def plan(project: Project) -> str:
    done = project.cli("run", "hello", "--dry-run")
    assert done.returncode == 0, done.stderr
    return done.stderr


def template_image(emulator: Emulator) -> str:
    """The image of the last launch template that was made."""
    calls = emulator.get("/_emulator/calls")
    made = [call for call in calls if call["action"] == "CreateLaunchTemplate"][-1]
    return str(made["parameters"]["LaunchTemplateData"]["ImageId"])


def test_a_baked_image_is_clean_and_the_next_runs_boot_it(
    emulator: Emulator, project: Project
) -> None:
    project.workflows(HELLO)
    assert "from a stock image" in plan(project)

    done = project.cli("images", "build")
    assert done.returncode == 0, done.stderr
    image = done.stdout.strip()
    assert emulator.machines() == []
    [found] = project.json("images", "list")["images"]
    assert found.keys() == EXAMPLE.keys(), "docs/json.md"
    assert (found["image"], found["state"], found["taken"]) == (image, "ready", True)
    assert found["contents"]["docker"]
    assert found["contents"]["rclone"]
    assert found["contents"]["nvidia"] is None
    look = ["docker", "run", "--rm", kept(image), "sh", "-c", LOOK]
    assert subprocess.run(look, capture_output=True, text=True, check=False).stdout == ""

    said = plan(project)
    assert f"starts from the image {image}" in said
    assert "from a stock image" not in said
    ran = project.cli("run", "hello", "-y")
    assert (ran.returncode, ran.stdout) == (0, "hello\n"), ran.stderr
    assert template_image(emulator) == image

    # The next run's plan is made, and its template is about to be, when the image goes.
    order = {"action": "CreateLaunchTemplate", "when": "before"}
    hold = emulator.post("/_emulator/holds", order)
    planned = project.start("run", "hello", "-y")
    wait_until("it launches", lambda: emulator.get("/_emulator/holds?wait=1")[0]["sequence"])
    deleted = project.json("images", "delete", image, "-y")
    assert deleted == {"image": image, "cloud": "aws", "region": "us-east-1"}
    emulator.post(f"/_emulator/holds/{hold['id']}/release", {"drop": False})
    said, words = planned.communicate(timeout=120)
    assert (planned.returncode, said) == (0, "hello\n"), words
    assert f"starts from the image {image}" in words
    assert template_image(emulator) != image
    assert emulator.machines() == []
    assert project.json("images", "list")["images"] == []
    assert kept(image) == ""
    assert "from a stock image" in plan(project)


@pytest.mark.parametrize("emulator", ["gcp"], indirect=True)
def test_google_cloud_bakes_and_boots_one_too(emulator: Emulator, project: Project) -> None:
    project.workflows(HELLO.replace("gpu: 0", "gpu: T4"))
    since = len(emulator.get("/_emulator/calls"))
    done = project.cli("images", "build", "--gpu", "T4")
    assert done.returncode == 0, done.stderr
    image = done.stdout.strip()
    assert emulator.machines() == []
    [found] = project.json("images", "list")["images"]
    assert found.keys() == EXAMPLE.keys(), "docs/json.md"
    assert (found["region"], found["taken"]) == (None, True)
    assert found["contents"]["nvidia"]
    look = ["docker", "run", "--rm", kept(image), "sh", "-c", LOOK]
    assert subprocess.run(look, capture_output=True, text=True, check=False).stdout == ""
    assert f"starts from the image {image}" in plan(project)
    ran = project.cli("run", "hello", "-y")
    assert (ran.returncode, ran.stdout) == (0, "hello\n"), ran.stderr
    done = project.cli("images", "delete", image, "-y")
    assert done.returncode == 0, done.stderr
    assert project.json("images", "list")["images"] == []
    used = {
        permission
        for call in emulator.get("/_emulator/calls")[since:]
        for permission in call.get("permissions") or ()
    }
    mine = {*policies.permissions("images"), "compute.images.useReadOnly"}
    assert mine <= used, "allowed, never used"


def test_ctrl_c_leaves_no_builder_and_no_image(emulator: Emulator, project: Project) -> None:
    hold = emulator.post("/_emulator/holds", {"action": "CreateImage", "when": "after"})
    client = project.start("images", "build", "--gpu", "T4")
    wait_until(
        "an image is begun",
        lambda: any(one["state"] == "waiting" for one in emulator.get("/_emulator/holds")),
    )
    client.send_signal(signal.SIGINT)
    emulator.post(f"/_emulator/holds/{hold['id']}/release", {})
    _, said = client.communicate(timeout=60)
    assert client.returncode == 130, said
    assert emulator.machines() == []
    assert project.json("images", "list")["images"] == []


def test_a_builder_ends_itself_when_its_client_was_killed(
    emulator: Emulator, project: Project
) -> None:
    quick = project.configured(project.folder / "config.yaml", timers={"heartbeat": "3s"})
    hold = emulator.post("/_emulator/holds", {"action": "CreateImage", "when": "before"})
    client = quick.start("images", "build", "--gpu", "T4")
    wait_until(
        "an image is begun",
        lambda: any(one["state"] == "waiting" for one in emulator.get("/_emulator/holds")),
    )
    client.kill()
    client.communicate()
    emulator.post(f"/_emulator/holds/{hold['id']}/release", {"drop": True})
    wait_until("the builder is gone", lambda: emulator.machines() == [])
    assert project.json("images", "list")["images"] == []


def test_what_cannot_be_built_or_deleted_is_told(project: Project) -> None:
    for words, code, said in (
        (("build", "--cloud", "local"), 2, "local cloud"),
        (("build", "--gpu", "1"), 2, "name it"),
        (("build", "--region", "us-nowhere-1"), 2, "us-nowhere-1"),
        (("delete", "ami-0123456789abcdef0", "-y"), 64, "no image 'ami-0123456789abcdef0'"),
    ):
        done = project.cli("images", *words)
        assert done.returncode == code, done.stderr
        assert said in done.stderr
