"""A bucket that answers what a test wrote down, over real HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from dstack_cloud.storage.base import Store
from dstack_cloud.storage.open import open_store

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def error_body(code: str, message: str = "told", extra: str = "") -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message>{extra}</Error>"
    )


@dataclass
class Answer:
    """``drop`` closes the connection without an answer, ``missing`` bytes short of the end."""

    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    missing: int = 0


@dataclass
class Script:
    """What the server answers, one by one (the last forever), and what it was asked."""

    endpoint: str
    scheme: str = "s3"
    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def store(self, **options: str) -> Store:
        return open_store(f"{self.scheme}://runs", endpoint=self.endpoint, environ=KEYS, **options)

    def next(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def scripted(scheme: str) -> Iterator[Script]:
    """The server for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            script.asked.append((self.command, self.path, dict(self.headers)))
            answer = script.next()
            if answer.drop:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            body = answer.body.encode()
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/xml", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) + answer.missing))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
            self.close_connection = answer.missing > 0

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

        def log_message(self, *_: object) -> None: ...

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    script = Script(f"http://127.0.0.1:{listener.server_port}", scheme)
    threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True).start()
    yield script
    listener.shutdown()
    listener.server_close()
