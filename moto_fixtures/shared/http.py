"""A threaded WSGI server that keeps connections alive and can drop one without an answer.

werkzeug's development server closes the connection after each answer, so every call of a client
would pay for a new one, which a real endpoint does not ask of it.
"""

from __future__ import annotations

import io
import socket
import sys
import traceback
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, Any, cast
from urllib.parse import unquote_to_bytes, urlsplit

from werkzeug.serving import DechunkedInput

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

DRAIN_LIMIT = 64 << 20
"""Unread request bytes that are read away to keep a connection; beyond, it is closed. Who still
sends when it closes may lose the answer to a refused upload, so a part of one is below this."""


class DropConnection(Exception):
    """Raised by an application to close the connection without any answer."""


class _Body(io.RawIOBase):
    """The request's body: as many bytes as its length says, then end of file."""

    def __init__(self, source: Any, length: int) -> None:
        self._source = source
        self.left = length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self.left)
        if wanted == 0:
            return 0
        data = self._source.read(wanted)
        if not data:
            self.left = 0
            return 0
        buffer[: len(data)] = data
        self.left -= len(data)
        return len(data)


class Handler(BaseHTTPRequestHandler):
    """One connection: request after request until the client or an error ends it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: Server

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def handle_expect_100(self) -> bool:
        """Say at once that the body may come; left in the buffer, the client waits a second."""
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def _serve(self) -> None:
        environ, left = self._environ()
        try:
            status, headers, body = self._run(environ)
        except DropConnection:
            self.close_connection = True
            # Half a close would leave the client waiting for an answer.
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        unread = left()
        if unread > DRAIN_LIMIT:
            self.close_connection = True
        elif unread:
            self.rfile.read(unread)
        self._answer(status, headers, body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _serve

    def _environ(self) -> tuple[dict[str, Any], Callable[[], int]]:
        target = urlsplit(self.path) if "://" in self.path else None
        raw = self.path if target is None else f"{target.path}?{target.query}"
        path, _, query = raw.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": raw,
            "REQUEST_URI": raw,
            "REMOTE_ADDR": self.client_address[0],
            "REMOTE_PORT": self.client_address[1],
            "SERVER_NAME": self.server.server_address[0],
            "SERVER_PORT": str(self.server.server_address[1]),
            "SERVER_PROTOCOL": self.request_version,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self.headers.items():
            key = name.upper().replace("-", "_")
            if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                key = f"HTTP_{key}"
                if key in environ:
                    value = f"{environ[key]},{value}"
            environ[key] = value
        if environ.get("HTTP_TRANSFER_ENCODING", "").strip().lower() == "chunked":
            environ["wsgi.input_terminated"] = True
            environ["wsgi.input"] = DechunkedInput(cast(IO[bytes], self.rfile))
            # The end of such a body is not known before it is read: no second request after it.
            self.close_connection = True
            return environ, lambda: 0
        body = _Body(self.rfile, int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BufferedReader(body)
        return environ, lambda: body.left

    def _run(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        got: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            got.update(status=status, headers=headers)

        try:
            chunks = self.server.app(environ, start_response)
            try:
                body = b"".join(chunks)
            finally:
                close = getattr(chunks, "close", None)
                if close is not None:
                    close()
        except DropConnection:
            raise
        except Exception:
            # A fault of the emulator itself must be told from one that a test asked for.
            text = traceback.format_exc()
            sys.stderr.write(text)
            return "500 Emulator error", [("Content-Type", "text/plain")], text.encode()
        return got["status"], got["headers"], body

    def _answer(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        length_sent = False
        for name, value in headers:
            lower = name.lower()
            if lower in ("connection", "transfer-encoding", "date", "server"):
                continue
            if lower == "content-length":
                if self.command != "HEAD":
                    continue
                length_sent = True
            self.send_header(name, str(value))
        if not length_sent and code not in ("204", "304"):
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD" and code not in ("204", "304"):
            self.wfile.write(body)
        self.wfile.flush()

    def version_string(self) -> str:
        return self.server.banner

    def log_message(self, *args: object) -> None:
        """Nothing: the call log is the record."""


class Server(ThreadingHTTPServer):
    """Listens on one address; several may serve the same application."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], app: WsgiApp, banner: str) -> None:
        self.app = app
        self.banner = banner
        super().__init__(address, cast(Any, Handler))

    def server_bind(self) -> None:
        # HTTPServer's own looks the host's name up, which may ask a name server and hang.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name = str(self.server_address[0])
        self.server_port = int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)
