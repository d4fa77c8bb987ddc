"""The metadata services' listener: one for all machines of an emulator, told apart by address.

Which cloud's service a machine finds there is said by its spec.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from moto_fixtures.machine import gce_metadata, imds
from moto_fixtures.machine.base import GceFacts, MachineSpec
from moto_fixtures.machine.gce_server import GceServer
from moto_fixtures.machine.imds_server import ImdsServer
from moto_fixtures.machine.served import Answer, Asked, Credentials, Served


def notice_paths(spec: MachineSpec, action: str, at: datetime) -> dict[str, str]:
    """What appears in this machine's metadata when ``action`` is announced for ``at``."""
    if isinstance(spec.facts, GceFacts):
        return gce_metadata.notice_paths(action)
    return imds.notice_paths(action, at)


class MetadataServer(ThreadingHTTPServer):
    """Listens on one address; machines are added and removed while it runs."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], credentials: Credentials) -> None:
        super().__init__(address, _Handler)
        self._lock = threading.Lock()
        self._machines: dict[str, Served] = {}
        self._ec2 = ImdsServer(credentials)
        self._gce = GceServer(credentials)

    def start(self) -> None:
        """Serve from a thread of its own until ``close``."""
        threading.Thread(target=self.serve_forever, name="metadata", daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A machine that ended while it waited is no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def add(self, machine: Served) -> None:
        with self._lock:
            self._machines[machine.address] = machine

    def forget(self, address: str) -> None:
        with self._lock:
            machine = self._machines.pop(address, None)
        if machine is not None:
            machine.end()
        self._ec2.forget(address)

    def machine_at(self, address: str) -> Served | None:
        with self._lock:
            return self._machines.get(address)

    def answer(self, asked: Asked, address: str) -> Answer:
        machine = self.machine_at(address)
        if machine is None:
            return Answer(404)
        service = self._gce if isinstance(machine.spec.facts, GceFacts) else self._ec2
        return service.answer(asked, machine)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "Metadata"
    sys_version = ""
    # A machine that was cut off must not hold a thread for ever.
    timeout = 120
    server: MetadataServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        asked = Asked(
            method=self.command,
            path=parts.path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length) if length else b"",
        )
        answer = self.server.answer(asked, str(self.client_address[0]))
        self.connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, answer.ttl)
        with contextlib.suppress(ConnectionError):
            # Who waits for a change may have gone before it came.
            self._send(answer)

    do_PUT = do_POST = do_DELETE = do_GET

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Nothing: machines poll this service every few seconds."""
