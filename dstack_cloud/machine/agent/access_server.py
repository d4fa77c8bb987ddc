"""Serves the credentials that the workflow asks for to its container, while it runs.

At the address where AWS's SDKs look for a container's credentials, and where Google's are sent by a
variable. Only what runs on this machine reaches it: it is on the loopback interface.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .access import Access, Answer
from .errors import Failure, StoreError
from .note import note
from .paths import Paths

ADDRESS = "169.254.170.2"
_PORT = 80


def open_access(job: Mapping[str, Any], paths: Paths, check: bool) -> Callable[[], None]:
    """Listen; answers what serves until the process ends. With ``check``, Failure where there are
    no such credentials."""
    access: Access
    if job["cloud"] == "aws":
        from .access_aws import RoleAccess

        access = RoleAccess(job, paths)
    else:
        from .access_gcp import AccountAccess

        access = AccountAccess(job)
    if check:
        try:
            access.get()
        except StoreError as error:
            raise access.refused(error) from error
    _take_address()
    try:
        server = AccessServer(access)
    except OSError as error:
        raise Failure("setup", f"credentials cannot be served at {ADDRESS}: {error}") from error
    return server.serve_forever


def _take_address() -> None:
    argv = ["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"]
    try:
        done = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        problem = done.stderr if done.returncode else b""
    except OSError as error:
        problem = str(error).encode()
    if problem and b"exists" not in problem:
        words = problem.decode("utf-8", "replace").strip()
        raise Failure("setup", f"the machine cannot have the address {ADDRESS}: {words}")


class AccessServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, access: Access, address: tuple[str, int] = (ADDRESS, _PORT)) -> None:
        self.access = access
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # The base class asks a name server what the address is called.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = ADDRESS, int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    server: AccessServer
    timeout = 30.0

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            answer = self.server.access.answer(self.path, headers)
        except StoreError as error:
            note(f"access: {error}")
            answer = Answer(503, b"no credentials at the moment\n")
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        """Nothing: the path is a secret."""
