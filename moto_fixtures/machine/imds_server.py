"""The metadata service's listener: one for all machines of an emulator, told apart by address.

Tokens as on IMDSv2. The answer to a token request leaves with the machine's hop limit as its
TTL, so that with a limit of 1 it dies on the machine before it reaches a container's bridge.
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

from moto_fixtures.machine import imds
from moto_fixtures.machine.imds import Served

_LONGEST_TOKEN = 21600
_HEADER = "X-aws-ec2-metadata-token"
_TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
_DEFAULT_TTL = 64

Credentials = Callable[[str, str], dict[str, str]]
"""Role and machine to the keys and the token that the machine is given."""


class MetadataServer(ThreadingHTTPServer):
    """Listens on one address; machines are added and removed while it runs."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], credentials: Credentials) -> None:
        super().__init__(address, _Handler)
        self._credentials = credentials
        self._lock = threading.Lock()
        self._machines: dict[str, Served] = {}
        self._tokens: dict[str, tuple[str, float]] = {}

    def start(self) -> None:
        """Serve from a thread of its own until ``close``."""
        threading.Thread(target=self.serve_forever, name="imds", daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def add(self, machine: Served) -> None:
        with self._lock:
            self._machines[machine.address] = machine

    def forget(self, address: str) -> None:
        with self._lock:
            self._machines.pop(address, None)
            self._tokens = {t: owner for t, owner in self._tokens.items() if owner[0] != address}

    def machine_at(self, address: str) -> Served | None:
        with self._lock:
            return self._machines.get(address)

    def new_token(self, address: str, seconds: int) -> str:
        token = secrets.token_urlsafe(40)
        with self._lock:
            self._tokens[token] = (address, time.monotonic() + seconds)
        return token

    def token_holds(self, token: str, address: str) -> bool:
        """Tokens are bound to the machine they were given to, and expire."""
        with self._lock:
            owner, until = self._tokens.get(token, ("", 0.0))
        return owner == address and time.monotonic() < until

    def text_at(self, machine: Served, path: str) -> bytes | None:
        """The content of a path below the version, or None."""
        if path == "user-data":
            return machine.spec.user_data or None
        role = imds.role_path(machine.spec)
        if role is not None and path == role:
            given = self._credentials(cast(str, machine.spec.role), machine.spec.id)
            return imds.credentials_text(given, datetime.now(UTC)).encode()
        found = imds.leaves(machine)
        if path in found:
            return found[path].encode()
        paths = [*found, *([role] if role else []), *(["user-data"] * bool(machine.spec.user_data))]
        listing = imds.directory(paths, path)
        return None if listing is None else listing.encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "EC2ws"
    sys_version = ""
    # A machine that was cut off must not hold a thread for ever.
    timeout = 120
    server: MetadataServer

    def do_PUT(self) -> None:
        machine = self._machine()
        if machine is None:
            return
        self._ttl(machine.spec.hop_limit)
        if self.path != "/latest/api/token":
            self._answer(404)
        elif self.headers.get("X-Forwarded-For") is not None:
            self._answer(403)
        else:
            seconds = self.headers.get(_TTL_HEADER, "")
            if seconds.isdigit() and 1 <= int(seconds) <= _LONGEST_TOKEN:
                token = self.server.new_token(machine.address, int(seconds))
                self._answer(200, token.encode(), {_TTL_HEADER: seconds})
            else:
                self._answer(400)

    def do_GET(self) -> None:
        machine = self._machine()
        if machine is None:
            return
        self._ttl(_DEFAULT_TTL)
        token = self.headers.get(_HEADER)
        if token is None and machine.spec.imds_token_required:
            self._answer(401)
            return
        if token is not None and not self.server.token_holds(token, machine.address):
            self._answer(401)
            return
        _version, _, path = self.path.lstrip("/").partition("/")
        if not path.strip("/"):
            path = ""
        body = self.server.text_at(machine, path.rstrip("/") if path else "")
        if body is None:
            self._answer(404)
        else:
            self._answer(200, body)

    def _machine(self) -> Served | None:
        length = int(self.headers.get("Content-Length") or 0)
        if length:
            self.rfile.read(length)
        machine = self.server.machine_at(str(self.client_address[0]))
        if machine is None:
            self._answer(404)
        return machine

    def _ttl(self, hops: int) -> None:
        self.connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)

    def _answer(
        self, status: int, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Nothing: machines poll this service every few seconds."""
