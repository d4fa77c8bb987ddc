"""The emulated Google Cloud as a process.

    python -m moto_fixtures.gcp.server --name NAME --port PORT --storage-port PORT
        [--gateway ADDRESS] [--stub]

Two ports, since Cloud Storage's XML API has buckets where the others have their versions.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from moto_fixtures.gcp.bootstrap import Users
from moto_fixtures.gcp.control import GcpControl
from moto_fixtures.gcp.discovery import find
from moto_fixtures.gcp.emulator import TOKEN_PATH, Emulator
from moto_fixtures.gcp.project import NUMBER, PROJECT
from moto_fixtures.gcp.storage import storage_app
from moto_fixtures.machine.paths import state_dir
from moto_fixtures.shared.http import Server
from moto_fixtures.shared.serve import LOOPBACK, Front, listen, options, trusted, until_ended

BANNER = "ESF"


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; every machine is removed before the process ends."""
    parser = argparse.ArgumentParser(prog="python -m moto_fixtures.gcp.server")
    parser.add_argument("--storage-port", type=int, default=0, help="0 chooses a free one")
    asked = options(parser, argv)
    emulator = Emulator()
    if asked.stub:
        from moto_fixtures.machine.stub import StubMachines

        emulator.use(
            StubMachines(
                emulator.instances.on_exit,
                # Without the rights that namespaces need, machines are states alone.
                emulator.machine_credentials if os.geteuid() == 0 else None,
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
                emulator.machine_credentials,
                emulator.instances.on_exit,
                emulator.registries.hosts,
            )
        )
        emulator.registries.serve(network)
    find("GET", "/")
    port = asked.port or _free()
    address = asked.gateway or LOOPBACK
    users = Users(emulator, f"http://{address}:{port}{TOKEN_PATH}")
    storage = storage_app(emulator)
    storage_port, close_storage = listen(storage, asked.storage_port, asked.gateway, "UploadServer")
    info = {
        "name": asked.name,
        "project": PROJECT,
        "number": NUMBER,
        "store": asked.store,
        "pid": os.getpid(),
        "storage_port": storage_port,
    }
    control = GcpControl(emulator, users, storage, info)
    front = Front(emulator, control, trusted(asked.gateway))
    port, close = listen(front, port, asked.gateway, BANNER)
    print(f"ready {port} {storage_port}", flush=True)
    until_ended()
    close()
    close_storage()
    emulator.instances.machines.close()
    return 0


def _free() -> int:
    """A port for now: the key files name it before it is listened at."""
    probe = Server((LOOPBACK, 0), lambda *_: [], "")
    probe.server_close()
    return probe.server_port


if __name__ == "__main__":
    sys.exit(main())
