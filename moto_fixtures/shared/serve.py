"""An emulator's one server process: its API and its control interface, until it is ended.

Listens on the loopback and, where there is one, on the machines' gateway; on nothing else.
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from moto_fixtures.shared.control import PREFIX, Control
from moto_fixtures.shared.http import Server, WsgiApp

LOOPBACK = "127.0.0.1"
DEFAULT_STORE = "dstack-cloud-demo"
ADDRESS_SERVICE = "checkip.amazonaws.com"


class Front:
    """Tells the requests apart: control, what-is-my-address, the cloud's API."""

    def __init__(self, api: WsgiApp, control: Control, trusted: Iterable[str]) -> None:
        self._api = api
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
            return self._api(environ, start_response)
        if environ["REMOTE_ADDR"] not in self._trusted:
            # A machine must not hand itself the administrator's keys.
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"the control interface is for the host alone\n"]
        body = environ["wsgi.input"].read()
        status, value = self._control.handle(
            environ["REQUEST_METHOD"], path[len(PREFIX) :], environ["QUERY_STRING"], body
        )
        start_response(f"{status} Control", [("Content-Type", "application/json")])
        return [json.dumps(value, default=str).encode()]


def trusted(gateway: str | None) -> list[str]:
    """The addresses of this host, from which the control interface may be used."""
    return [LOOPBACK] + ([gateway] if gateway else [])


def listen(
    app: WsgiApp, port: int, gateway: str | None, banner: str
) -> tuple[int, Callable[[], None]]:
    """Serve from threads; the port, which a ``port`` of 0 leaves open, and what ends it."""
    first = Server((LOOPBACK, port), app, banner)
    servers = [first]
    if gateway:
        servers.append(Server((gateway, first.server_port), app, banner))
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def close() -> None:
        for server in servers:
            server.shutdown()

    return first.server_port, close


def until_ended() -> None:
    """Return at SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()


def options(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """What every emulator's server is told, besides what ``parser`` has already."""
    parser.add_argument("--name", default="default")
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument("--gateway", help="the bridge address that machines reach")
    parser.add_argument("--store", default=DEFAULT_STORE, help="the bucket of the daily user")
    parser.add_argument("--stub", action="store_true", help="machines without Docker")
    return parser.parse_args(argv)
