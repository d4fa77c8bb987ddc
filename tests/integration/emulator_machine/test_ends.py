"""How machines end, who hears of it, and that nothing of them is left."""

from __future__ import annotations

import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest

from moto_fixtures.machine.shell import docker


@pytest.fixture
def machine(world):
    made = world.launch()
    made.connect()
    return made


def traces(machine) -> list[str]:
    found = docker("ps", "--all", "--quiet", "--filter", f"name={machine.container}").split()
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/*{machine.id}*")]
    saved = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True)
    return found + [line for line in saved.stdout.splitlines() if f"{machine.address}/" in line]


def gone(machine, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while left := traces(machine):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def volumes() -> set[str]:
    return set(docker("volume", "ls", "--quiet").split())


def test_poweroff_inside_is_heard_of(world, machine):
    form = "{{range .Mounts}}{{.Name}} {{end}}"
    own = set(docker("inspect", "--format", form, machine.container).split())
    machine.ok("sudo docker run --rm ubuntu true")
    assert own <= volumes()
    assert len(traces(machine)) > 1
    machine.ok("sudo systemctl poweroff || true")
    assert world.next_exit() == (machine.id, "poweroff")
    entry = next(m for m in world.machines.listing() if m["id"] == machine.id)
    assert (entry["state"], entry["reason"]) == ("off", "poweroff")
    gone(machine)
    assert not own & volumes()


def test_terminate_lets_services_stop(world, machine):
    unit = "--unit=witness --property=ExecStop='/bin/sh -c \"echo stopped >/dev/console\"'"
    machine.ok(f"sudo systemd-run {unit} --remain-after-exit true")
    begun = time.monotonic()
    world.machines.terminate(machine.id)
    world.machines.terminate(machine.id)
    assert world.next_exit() == (machine.id, "terminated")
    assert time.monotonic() - begun < 4
    gone(machine)
    console = Path(world.machines.console(machine.id)).read_text()
    assert "stopped" in console
    world.machines.terminate(machine.id)
    assert world.exits.empty()


def test_kill_lets_nothing_run(world, machine):
    unit = "--unit=witness --property=ExecStop='/bin/sh -c \"echo stopped >/dev/console\"'"
    machine.ok(f"sudo systemd-run {unit} --remain-after-exit true")
    world.machines.kill(machine.id)
    assert world.next_exit() == (machine.id, "killed")
    gone(machine)
    assert "stopped" not in Path(world.machines.console(machine.id)).read_text()


def test_a_machine_can_be_ended_while_it_boots(world):
    machine = world.launch()
    world.machines.terminate(machine.id)
    assert world.next_exit() == (machine.id, "terminated")
    gone(machine)


def test_partition_cuts_both_ways_and_heals(world, machine):
    beat = "curl -s -m 0.3 -o /dev/null http://169.254.169.254/ && date +%s.%N >>/var/tmp/beats"
    machine.ok(f"sudo systemd-run sh -c 'while :; do {beat}; sleep 0.1; done'")
    machine.ok("timeout 10 sh -c 'until [ -s /var/tmp/beats ]; do sleep 0.05; done'")
    machine.client.close()
    machine.client = None
    world.machines.partition(machine.id, 3)
    with pytest.raises(AssertionError, match="not within"):
        machine.connect(seconds=1)
    # Back again, with nothing done by hand.
    machine.connect(seconds=20)
    last = float(machine.ok("date +%s.%N"))
    wait = f"until [ $(tail -n 1 /var/tmp/beats | cut -d. -f1) -gt {last:.0f} ]; do sleep 0.1; done"
    machine.ok(f"timeout 10 sh -c '{wait}'")
    beats = [float(line) for line in machine.ok("cat /var/tmp/beats").split()]
    assert 2.5 < max(b - a for a, b in pairwise(beats)) < 6
    world.machines.kill(machine.id)
    assert world.next_exit() == (machine.id, "killed")
    gone(machine)
