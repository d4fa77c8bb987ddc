"""A machine boots with real cloud-init, and SSH is open to whom the user data names."""

from __future__ import annotations

import paramiko
import pytest


def test_user_data_has_run_in_cloud_inits_order(gpu_machine):
    gpu_machine.ok("timeout 30 sh -c 'until [ -e /var/tmp/finished ]; do sleep 0.05; done'")
    assert gpu_machine.ok("cat /var/tmp/order").split() == ["bootcmd", "runcmd"]
    assert gpu_machine.ok("sudo cat /etc/given") == "given\n"
    assert "status: done" in gpu_machine.ok("cloud-init status --wait")


def test_sshd_answers_only_after_bootcmd(world):
    marks = ["sleep 1; touch /var/tmp/slow"]
    machine = world.launch(user_data=world.user_data(bootcmd=marks))
    # The first connection that succeeds already finds what bootcmd did.
    assert machine.ok("ls /var/tmp/slow") == "/var/tmp/slow\n"
    world.machines.kill(machine.id)
    assert world.next_exit() == (machine.id, "killed")


def test_host_key_is_the_one_of_the_user_data(gpu_machine):
    shown = gpu_machine.connect().get_transport().get_remote_server_key()
    assert shown.asbytes() == gpu_machine.world.host_key.load().asbytes()
    assert gpu_machine.ok("ls /etc/ssh/ssh_host_*_key") == "/etc/ssh/ssh_host_ed25519_key\n"


def test_another_key_is_refused(gpu_machine):
    gpu_machine.connect()
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    with pytest.raises(paramiko.AuthenticationException):
        client.connect(
            gpu_machine.address,
            username="ubuntu",
            pkey=paramiko.RSAKey.generate(2048),
            allow_agent=False,
            look_for_keys=False,
        )


def test_ubuntu_is_root_without_a_password(gpu_machine):
    assert gpu_machine.ok("sudo -n id -u") == "0\n"
    assert gpu_machine.ok("systemctl is-system-running --wait || true") == "running\n"


def test_four_machines_boot_at_once(world):
    machines = [world.launch() for _ in range(4)]
    assert len({m.address for m in machines}) == 4
    assert [m.ok("hostname").strip() for m in machines] == [
        f"ip-{m.address.replace('.', '-')}" for m in machines
    ]
    states = {m["id"]: m["state"] for m in world.machines.listing()}
    assert {states[m.id] for m in machines} == {"running"}
    for machine in machines:
        world.machines.kill(machine.id)
    assert {world.next_exit() for _ in machines} == {(m.id, "killed") for m in machines}
