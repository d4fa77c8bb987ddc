"""Machine images of one's own, baked on real machines and booted by later runs."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest
from support.emulated import EVERY_CLOUD, ROOT, Emulator, Project, wait_until
from support.shortages import latest

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


def booted(emulator: Emulator, since: int) -> str:
    """The image of what was launched last."""
    return emulator.account.booted(emulator.get(f"/_emulator/calls?since={since}"))[-1]


# Of a stock image, which takes its time, and of one that has all it needs.
@pytest.mark.parametrize(("emulator", "gpu"), [("aws", "0"), ("gcp", "T4")], indirect=["emulator"])
def test_a_baked_image_is_clean_and_the_next_runs_boot_it(
    emulator: Emulator, project: Project, gpu: str
) -> None:
    project.workflows(HELLO.replace("gpu: 0", f"gpu: {gpu}"))
    stock = gpu == "0"
    assert ("from a stock image" in plan(project)) == stock

    since = latest(emulator)
    done = project.cli("images", "build", *(() if stock else ("--gpu", gpu)))
    assert done.returncode == 0, done.stderr
    image = done.stdout.strip()
    assert emulator.machines() == []
    [found] = project.json("images", "list")["images"]
    assert found.keys() == EXAMPLE.keys(), "docs/json.md"
    assert (found["image"], found["state"], found["taken"]) == (image, "ready", True)
    assert found["region"] == emulator.words.image_region
    assert found["contents"]["docker"]
    assert found["contents"]["rclone"]
    assert (found["contents"]["nvidia"] is None) == stock
    look = ["docker", "run", "--rm", kept(image), "sh", "-c", LOOK]
    assert subprocess.run(look, capture_output=True, text=True, check=False).stdout == ""

    said = plan(project)
    assert f"starts from the image {image}" in said
    assert "from a stock image" not in said
    ran = project.cli("run", "hello", "-y")
    assert (ran.returncode, ran.stdout) == (0, "hello\n"), ran.stderr
    assert booted(emulator, since) == image

    # The next run's plan is made, and its image is about to be named, when the image goes.
    order = {"action": emulator.words.boot, "when": "before"}
    hold = emulator.post("/_emulator/holds", order)
    planned = project.start("run", "hello", "-y")
    wait_until("it launches", lambda: emulator.get("/_emulator/holds?wait=1")[0]["sequence"])
    deleted = project.json("images", "delete", image, "-y")
    cloud, region = emulator.words.cloud, emulator.words.image_region
    assert deleted == {"image": image, "cloud": cloud, "region": region}
    emulator.post(f"/_emulator/holds/{hold['id']}/release", {"drop": False})
    said, words = planned.communicate(timeout=300)
    assert (planned.returncode, said) == (0, "hello\n"), words
    assert f"starts from the image {image}" in words
    assert booted(emulator, since) != image
    assert emulator.machines() == []
    assert project.json("images", "list")["images"] == []
    assert kept(image) == ""
    assert ("from a stock image" in plan(project)) == stock
    used = {
        permission
        for call in emulator.get(f"/_emulator/calls?since={since}")
        for permission in call.get("permissions") or ()
    }
    mine = {*emulator.account.allowed("images"), emulator.words.boot_right}
    assert mine <= used, "allowed, never used"


@EVERY_CLOUD
def test_ctrl_c_leaves_no_builder_and_no_image(emulator: Emulator, project: Project) -> None:
    hold = emulator.post("/_emulator/holds", {"action": emulator.words.bake, "when": "after"})
    client = project.start("images", "build", "--gpu", "T4")
    wait_until(
        "an image is begun",
        lambda: any(one["state"] == "waiting" for one in emulator.get("/_emulator/holds")),
    )
    client.send_signal(signal.SIGINT)
    emulator.post(f"/_emulator/holds/{hold['id']}/release", {})
    _, said = client.communicate(timeout=300)
    assert client.returncode == 130, said
    assert emulator.machines() == []
    assert project.json("images", "list")["images"] == []


@EVERY_CLOUD
def test_a_builder_ends_itself_when_its_client_was_killed(
    emulator: Emulator, project: Project
) -> None:
    quick = project.configured(project.folder / "config.yaml", timers={"heartbeat": "3s"})
    hold = emulator.post("/_emulator/holds", {"action": emulator.words.bake, "when": "before"})
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
