"""Two emulators at once: each machine is told about itself, by its own emulator."""

from __future__ import annotations

import os

from moto_fixtures.down import take_down

TOKEN = (
    "curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "
    "http://169.254.169.254/latest/api/token"
)
ASK = (
    f'curl -sf -H "X-aws-ec2-metadata-token: $({TOKEN})" '
    "http://169.254.169.254/latest/meta-data/instance-id"
)


def test_each_emulator_has_its_own_metadata(gpu_machine, make_world):
    name = f"second-{os.getpid()}"
    second = make_world(name)
    try:
        assert second.network.subnet != gpu_machine.world.network.subnet
        other = second.launch()
        # Both answer on the one address, each to its own bridge.
        assert other.ok(ASK) == other.id
        assert gpu_machine.ok(ASK) == gpu_machine.id
    finally:
        second.machines.close()
        take_down(name, quiet=True)
    # The end of one leaves the other as it was.
    assert gpu_machine.ok(ASK) == gpu_machine.id
