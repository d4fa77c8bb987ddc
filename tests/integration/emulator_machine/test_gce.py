"""An emulated machine of Compute Engine: its boot, its metadata server, its notices."""

from __future__ import annotations

import json
import shlex
import threading
from dataclasses import replace
from datetime import UTC, datetime

import paramiko
import pytest

from dstack_cloud.clouds.base import MachineImage
from dstack_cloud.machine.bundle import agent_bundle
from dstack_cloud.machine.user_data import provision_script, user_data

from .conftest import gce, until

BASE = "http://metadata.google.internal/computeMetadata/v1"


def ask(machine, path: str, *words: str) -> str:
    return machine.ok(
        shlex.join(["curl", "-sf", "-H", "Metadata-Flavor: Google", *words, f"{BASE}/{path}"])
    )


def status(machine, path: str, *words: str) -> str:
    out = ["-o", "/dev/null", "-w", "%{http_code}"]
    return machine.ok(shlex.join(["curl", "-s", *out, *words, f"{BASE}/{path}"]))


def test_it_boots_from_its_metadata(gce_machine):
    # That SSH answers says that the key of `ssh-keys` is in and the pinned host key stays.
    assert gce_machine.ok("cat /run/cloud-init/cloud-id") == "gce\n"
    gce_machine.ok("timeout 30 sh -c 'until [ -e /var/tmp/finished ]; do sleep 0.05; done'")
    assert gce_machine.ok("cat /var/tmp/order") == "runcmd\n"
    assert gce_machine.ok("hostname") == gce_machine.spec.facts.name + "\n"


def test_what_an_instance_is(gce_machine):
    assert ask(gce_machine, "instance/id") == gce_machine.id
    assert ask(gce_machine, "instance/zone") == "projects/123456789/zones/us-central1-a"
    assert ask(gce_machine, "instance/name") == gce_machine.spec.facts.name
    assert ask(gce_machine, "project/project-id") == "a-project"
    assert ask(gce_machine, "instance/attributes/Named-asIt_is") == "kept"
    assert ask(gce_machine, "instance/network-interfaces/0/ip") == gce_machine.address
    assert ask(gce_machine, "instance/scheduling/preemptible") == "TRUE"
    assert "scheduling/\nservice-accounts/\ntags\nzone\n" in ask(gce_machine, "instance/")


def test_recursive_in_json_and_in_text(gce_machine):
    found = json.loads(ask(gce_machine, "?recursive=true"))
    assert found["project"]["numericProjectId"] == 123456789
    instance = found["instance"]
    assert instance["id"] == int(gce_machine.id)
    assert instance["attributes"]["Named-asIt_is"] == "kept"
    assert instance["scheduling"] == {
        "automaticRestart": "FALSE",
        "onHostMaintenance": "TERMINATE",
        "preemptible": "TRUE",
    }
    assert instance["networkInterfaces"][0]["accessConfigs"][0]["externalIp"] == gce_machine.address
    assert "token" not in json.dumps(instance["serviceAccounts"])
    lines = ask(gce_machine, "instance/scheduling/?recursive=true&alt=text")
    assert lines.splitlines()[0] == "automatic-restart FALSE"
    assert json.loads(ask(gce_machine, "instance/tags?alt=json")) == ["dstack"]


def test_refused_without_the_header(gce_machine):
    assert status(gce_machine, "instance/id") == "403"
    forwarded = ["-H", "Metadata-Flavor: Google", "-H", "X-Forwarded-For: 10.0.0.1"]
    assert status(gce_machine, "instance/id", *forwarded) == "403"
    assert status(gce_machine, "instance/no-such", "-H", "Metadata-Flavor: Google") == "404"
    assert status(gce_machine, "instance", "-H", "Metadata-Flavor: Google") == "301"


def test_the_service_accounts_token(gce_machine):
    given = json.loads(ask(gce_machine, "instance/service-accounts/default/token"))
    account = gce_machine.spec.facts.service_account
    assert given["access_token"] == f"token of {account} on {gce_machine.id}"
    assert given["expires_in"] > 0
    assert ask(gce_machine, "instance/service-accounts/default/email") == account
    assert "token\n" in ask(gce_machine, "instance/service-accounts/default/")


def test_guest_attributes_are_the_machines_to_write(gce_machine):
    path = "instance/guest-attributes/dstack/key"
    ask(gce_machine, path, "-X", "PUT", "--data", "value")
    assert ask(gce_machine, path) == "value"
    ask(gce_machine, path, "-X", "DELETE")
    assert status(gce_machine, path, "-H", "Metadata-Flavor: Google") == "404"


def test_a_change_ends_the_wait_for_it(world, gce_machine):
    gce_machine.connect()
    path = "instance/preempted?wait_for_change=true&timeout_sec="
    assert ask(gce_machine, path + "1") == "FALSE"
    etag = gce_machine.ok(
        f"curl -sf -D - -o /dev/null -H 'Metadata-Flavor: Google' {BASE}/instance/preempted"
        " | sed -n 's/^ETag: *//p'"
    ).strip()
    answers: list[str] = []
    waiting = threading.Thread(
        target=lambda: answers.append(ask(gce_machine, f"{path}60&last_etag={etag}"))
    )
    waiting.start()
    world.machines.notice(gce_machine.id, "preempted", datetime.now(UTC))
    waiting.join(20)
    assert answers == ["TRUE"]
    # Who has seen less than what there is by now waits for nothing.
    assert ask(gce_machine, f"{path}60&last_etag={etag}") == "TRUE"
    world.machines.notice(gce_machine.id, "TERMINATE_ON_HOST_MAINTENANCE", datetime.now(UTC))
    assert ask(gce_machine, "instance/maintenance-event") == "TERMINATE_ON_HOST_MAINTENANCE"


def test_containers_are_kept_from_the_machines_token(gce_machine):
    """They are as near to the metadata server as the machine; the agent's rule refuses them."""
    gce_machine.ok("sudo mkdir -p /opt/agent")
    gce_machine.ok("sudo tee /opt/agent/agent.pyz >/dev/null", stdin=agent_bundle())
    ask_it = (
        "exec 3<>/dev/tcp/169.254.169.254/80 || exit 7;"
        r"printf 'GET /computeMetadata/v1/instance/service-accounts/default/token HTTP/1.1\r\n"
        r"Host: x\r\nMetadata-Flavor: Google\r\nConnection: close\r\n\r\n' >&3; cat <&3"
    )
    container = f"sudo docker run --rm ubuntu bash -c {shlex.quote(ask_it)}"
    assert "access_token" in gce_machine.ok(container)
    guard = (
        "import sys; sys.path.insert(0, '/opt/agent/agent.pyz')\n"
        "from agent.gce import Gce\nGce({'machine_record': {}}).guard()"
    )
    for _ in range(2):
        gce_machine.ok(f"sudo python3 -c {shlex.quote(guard)}")
    code, out = gce_machine.run(container)
    assert code == 7
    assert "Connection refused" in out
    # A new engine keeps the rule; the network's name server, at the same address, is left alone.
    gce_machine.ok("sudo systemctl restart docker")
    assert gce_machine.run(container)[0] == 7
    rules = gce_machine.ok("sudo iptables -S DOCKER-USER").splitlines()
    assert [rule for rule in rules if "169.254.169.254" in rule][1:] == []
    assert "! --dport 53" in "".join(rules)
    assert "access_token" in ask(gce_machine, "instance/service-accounts/default/token")


def test_what_a_deep_learning_image_lacks_is_installed(world):
    """The product's own user data, on an image that is called ready and has no rclone."""
    data = user_data(
        MachineImage("an-image", ready=True),
        host_key_private=world.host_key.private,
        host_key_public=world.host_key.public,
        authorized_key=world.client_key.public,
        no_job=300,
        heartbeat=60,
        provision=provision_script(),
        cloud="gcp",
    )
    given = gce(world)
    facts = replace(given["facts"], attributes={"user-data": data.decode()})
    machine = world.launch(**{**given, "user_data": data, "facts": facts, "ready": False})
    machine.ok(
        "timeout 100 sh -c 'until [ -e /run/dstack/ready ]; do sleep 0.2; done'", seconds=120
    )
    machine.ok("command -v rclone && sudo docker info")
    world.machines.kill(machine.id)
    assert world.next_exit() == (machine.id, "killed")


def test_googles_agent_makes_host_keys_anew_unless_told_not_to(world):
    machine = world.launch(**gce(world, bootcmd=["true"]))
    with pytest.raises(paramiko.BadHostKeyException):
        machine.connect()
    world.machines.kill(machine.id)
    assert world.next_exit() == (machine.id, "killed")


def test_a_machine_gets_the_time_that_a_preemption_leaves(world):
    machine = world.launch(**gce(world))
    slow = "sh -c 'sleep 2; echo stopped in order >/dev/console'"
    machine.ok(f'sudo systemd-run --property=ExecStop="{slow}" sleep 600')
    world.machines.terminate(machine.id, patience=30)
    assert world.next_exit(30) == (machine.id, "terminated")
    until(lambda: world.machines.console(machine.id).exists())
    assert "stopped in order" in world.machines.console(machine.id).read_text()
