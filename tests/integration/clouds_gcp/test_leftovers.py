"""What is left where nobody looked: a machine that only stopped, a disk without a machine."""

from __future__ import annotations

import pytest
from support.emulated import Project, wait_until
from support.gcp_server import PROJECT, STORE, Gcp

from dstack_cloud.clouds.gcp.names import label
from dstack_cloud.clouds.gcp.sessions import Sessions
from dstack_cloud.clouds.gcp.settings import Settings

IMAGE = "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64"
ENDLESS = """
    workflows:
      - name: endless
        provider: docker
        image: ubuntu
        resources: {gpu: T4, interruptible: true}
        commands: [sleep 1000]
"""


def test_a_machine_that_only_stopped_goes_with_its_disk(gcp: Gcp, repository: Project) -> None:
    repository.workflows(ENDLESS)
    run = repository.cli("run", "endless", "--cloud", "gcp", "-y", "-d").stdout.strip()
    (machine,) = [one for one in gcp.instances() if one["state"] == "running"]
    gcp.control("POST", f"machines/{machine['id']}/kill")
    wait_until("it stopped", lambda: gcp.instances()[0]["instance_state"] == "TERMINATED")
    assert len(gcp.disks()) == 1
    # Whoever looks deletes it: it costs on.
    assert repository.state(run) in ("recovering", "lost")
    found = repository.json("gc", "-y")["leftovers"]
    wait_until("nothing is on the bill", lambda: not gcp.instances() and not gcp.disks())
    assert [one for one in found if not one["removed"]] == []
    assert repository.json("gc")["leftovers"] == []
    stopped = repository.cli("stop", run)
    assert stopped.returncode == 0, stopped.stderr


def test_a_disk_without_its_machine(
    gcp: Gcp, repository: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where an instance was deleted by somebody whose console kept its disk."""
    gcp.control("POST", "users", {"name": "console", "roles": ["roles/owner"]})
    for key, value in gcp.environment("console").items():
        monkeypatch.setenv(key, value)
    console = Sessions(Settings(project=PROJECT))
    instances = f"projects/{PROJECT}/zones/us-central1-a/instances"
    name = "dstack-cloud-old-1-1-0123abcd"
    disk = {
        "sourceImage": IMAGE,
        "description": "dstack-cloud attempt 1 of old-1",
        "labels": {"dstack-cloud": "ada", "dstack-cloud-store": label(f"gs://{STORE}")},
    }
    body = {
        "name": name,
        "machineType": "zones/us-central1-a/machineTypes/e2-small",
        "disks": [{"boot": True, "autoDelete": False, "initializeParams": disk}],
        "networkInterfaces": [{"network": "global/networks/default"}],
    }
    console.call("compute", "POST", instances, body)
    wait_until("it runs", lambda: [one["state"] for one in gcp.instances()] == ["running"])
    console.call("compute", "DELETE", f"{instances}/{name}")
    wait_until("it is deleted", lambda: not gcp.instances())
    assert len(gcp.disks()) == 1
    listed = repository.cli("gc")
    assert listed.returncode == 0, listed.stderr
    assert f"us-central1-a/{name}" in listed.stdout
    (found,) = [one for one in repository.json("gc", "-y")["leftovers"] if one["kind"] == "disk"]
    assert (found["run"], found["removed"]) == ("old-1", True)
    wait_until("it is gone", lambda: not gcp.disks())
