"""The emulated AWS as a process.

python -m moto_fixtures.aws.server --name NAME --port PORT [--gateway ADDRESS] [--stub]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from moto_fixtures.aws.backends import ACCOUNT
from moto_fixtures.aws.control import AwsControl
from moto_fixtures.aws.emulator import Emulator
from moto_fixtures.aws.regions import warm
from moto_fixtures.machine.paths import state_dir
from moto_fixtures.shared.serve import Front, listen, options, trusted, until_ended

BANNER = "AmazonEC2"


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; every machine is removed before the process ends."""
    asked = options(argparse.ArgumentParser(prog="python -m moto_fixtures.aws.server"), argv)
    emulator = Emulator()
    if asked.stub:
        from moto_fixtures.machine.stub import StubMachines

        emulator.use(
            StubMachines(
                emulator.instances.on_exit,
                # Without the rights that namespaces need, machines are states alone.
                emulator.identities.machine_credentials if os.geteuid() == 0 else None,
                state_dir(asked.name) / "machines",
            )
        )
    else:
        from moto_fixtures.machine.docker_machines import DockerMachines
        from moto_fixtures.machine.network import Network

        network = Network.load(asked.name)
        emulator.use(
            DockerMachines(
                network,
                emulator.identities.machine_credentials,
                emulator.instances.on_exit,
                emulator.registries.hosts,
            )
        )
        emulator.registries.serve(network)
    warm(emulator)
    info = {"name": asked.name, "account": ACCOUNT, "store": asked.store, "pid": os.getpid()}
    front = Front(emulator, AwsControl(emulator, asked.store, info), trusted(asked.gateway))
    port, close = listen(front, asked.port, asked.gateway, BANNER)
    print(f"ready {port}", flush=True)
    until_ended()
    close()
    emulator.instances.machines.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
