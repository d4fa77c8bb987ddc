"""The product's provisioning script on a stock image, with the host's own package mirror."""

from __future__ import annotations

import time

# Packages, every file of the configuration, when Docker and a container of it were started.
STATE = """
dpkg-query --show
sudo find /etc /usr/local /lib/systemd/system -xdev -type f -exec sha256sum {} + | sort -k 2
systemctl show docker.service --property=MainPID,NRestarts,ExecMainStartTimestampMonotonic
sudo docker inspect --format '{{.RestartCount}} {{.State.Running}} {{.State.StartedAt}}' kept
"""


def test_stock_is_provisioned_once_and_then_left_alone(world, provision):
    machine = world.launch(ready=False, gpus=1, gpu_name="Tesla K80")
    assert machine.run("command -v dockerd rclone")[0] == 1
    script = "sudo NVIDIA_DRIVER=470 sh -s"

    begun = time.monotonic()
    out = machine.ok(script, stdin=provision, seconds=120)
    first = time.monotonic() - begun
    assert out.endswith("provision: ready\n")
    assert "installing docker.io" in out
    # The emulated driver is there: nothing of NVIDIA's is installed over it.
    assert "NVIDIA driver and container hook: present" in out
    assert "hello" in machine.ok("sudo docker run --rm --gpus all ubuntu echo hello")
    machine.ok("rclone version && systemctl is-enabled docker.service")

    machine.ok("sudo docker run -d --name kept ubuntu sleep 1000")
    before = machine.ok(STATE)
    begun = time.monotonic()
    again = machine.ok(script, stdin=provision)
    assert again == "provision: NVIDIA driver and container hook: present\nprovision: ready\n"
    assert time.monotonic() - begun < first / 2
    assert machine.ok(STATE) == before
    world.machines.kill(machine.id)
    assert world.next_exit() == (machine.id, "killed")


def test_ready_needs_no_provisioning(plain_machine, provision):
    assert plain_machine.ok("sudo sh -s", stdin=provision) == "provision: ready\n"


def test_nonsense_is_refused_before_anything_is_done(plain_machine, provision):
    code, out = plain_machine.run("sudo NVIDIA_DRIVER=newest sh -s", stdin=provision)
    assert (code, out) == (
        1,
        "provision: failed: NVIDIA_DRIVER is a branch such as 535, or none; not 'newest'\n",
    )
    code, out = plain_machine.run("sh -s", stdin=provision)
    assert (code, out) == (1, "provision: failed: needs root\n")
