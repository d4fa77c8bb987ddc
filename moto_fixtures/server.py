"""The emulator's one server process: the AWS API, the control interface, the address service.

    python -m moto_fixtures.server --name NAME --port PORT [--gateway ADDRESS] [--stub]

Listens on the loopback and, where there is one, on the machines' gateway; on nothing else.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from moto_fixtures.aws.backends import ACCOUNT
from moto_fixtures.aws.emulator import Emulator
from moto_fixtures.aws.http import Server
from moto_fixtures.aws.regions import warm
from moto_fixtures.control import PREFIX, Control
from moto_fixtures.machine.paths import state_dir

LOOPBACK = "127.0.0.1"
DEFAULT_STORE = "dstack-cloud-demo"
ADDRESS_SERVICE = "checkip.amazonaws.com"


class Front:
    """Tells the requests apart: control, what-is-my-address, AWS."""

    def __init__(self, emulator: Emulator, control: Control, trusted: Iterable[str]) -> None:
        self._emulator = emulator
        self._control = control
        self._trusted = set(trusted)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        host = str(environ.get("HTTP_HOST", "")).split(":")[0]
        if host == ADDRESS_SERVICE:
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [f"{environ['REMOTE_ADDR']}\n".encode()]
        path = str(environ["PATH_INFO"])
        if not path.startswith(PREFIX):
            return self._emulator(environ, start_response)
        if environ["REMOTE_ADDR"] not in self._trusted:
            # A machine must not hand itself the administrator's keys.
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"the control interface is for the host alone\n"]
        body = environ["wsgi.input"].read()
        answer = self._control.handle(
            environ["REQUEST_METHOD"], path[len(PREFIX) :], environ["QUERY_STRING"], body
        )
        start_response(f"{answer.status} Control", answer.headers)
        return [answer.body]


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; every machine is removed before the process ends."""
    options = _options(argv)
    emulator = Emulator()
    if options.stub:
        from moto_fixtures.machine.stub import StubMachines

        emulator.use(
            StubMachines(
                emulator.instances.on_exit,
                # Without the rights that namespaces need, machines are states alone.
                emulator.identities.machine_credentials if os.geteuid() == 0 else None,
                state_dir(options.name) / "machines",
            )
        )
    else:
        from moto_fixtures.machine.docker_machines import DockerMachines
        from moto_fixtures.machine.network import Network

        network = Network.load(options.name)
        emulator.use(
            DockerMachines(
                network, emulator.identities.machine_credentials, emulator.instances.on_exit
            )
        )
    warm(emulator)
    trusted = [LOOPBACK] + ([options.gateway] if options.gateway else [])
    info = {"name": options.name, "account": ACCOUNT, "store": options.store, "pid": os.getpid()}
    front = Front(emulator, Control(emulator, options.store, info), trusted)
    first = Server((LOOPBACK, options.port), front)
    servers = [first]
    if options.gateway:
        servers.append(Server((options.gateway, first.server_port), front))
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"ready {first.server_port}", flush=True)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
    for server in servers:
        server.shutdown()
    emulator.instances.machines.close()
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m moto_fixtures.server")
    parser.add_argument("--name", default="default")
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument("--gateway", help="the bridge address that machines reach")
    parser.add_argument("--store", default=DEFAULT_STORE, help="the bucket of the daily user")
    parser.add_argument("--stub", action="store_true", help="machines without Docker")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
