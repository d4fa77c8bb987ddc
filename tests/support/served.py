"""A server for containers, and what a browser would ask of it: pages, a web socket, much data.

The upgrade is HTTP's own, as of a web socket; what follows is bytes in both directions.
"""

from __future__ import annotations

import re
import socket
import urllib.request
from urllib.parse import urlsplit

from support.emulated import Project
from support.follower import Client

WORKFLOW = """
    workflows:
      - name: served
        provider: served
        image: {image}
"""
PROVIDER = """\
from pydantic import BaseModel

from dstack_cloud.spec import ContainerSpec, shell_command


class Properties(BaseModel, extra="forbid"):
    image: str


def container(properties, context):
    return ContainerSpec(
        image=properties.image,
        entrypoint="/bin/sh",
        command=shell_command(["exec python3 -u server.py"]),
        ports=(8000,),
        pages={8000: "/page?token={token}"},
    )
"""
SERVER = """\
import os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

LARGE = bytes(range(256)) * 4096 * 24

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        parts = urlsplit(self.path)
        token = parse_qs(parts.query).get("token")
        if token != [os.environ["DSTACK_TOKEN"]]:
            self.answer(403, b"who are you?")
        elif self.headers.get("Upgrade") == "websocket":
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.end_headers()
            while data := self.connection.recv(65536):
                self.connection.sendall(data.upper())
        elif parts.path == "/large":
            self.answer(200, LARGE)
        else:
            self.answer(200, b"the page of " + os.environ["DSTACK_RUN"].encode())
            if parts.path == "/end":
                Thread(target=server.shutdown).start()

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

# What takes long to start must not be told as open before it is.
time.sleep(1)
server = ThreadingHTTPServer(("", 8000), Handler)
print("serving", flush=True)
server.serve_forever()
"""
LARGE = bytes(range(256)) * 4096 * 24
_ADDRESS = re.compile(r"port [0-9]+:? +(http://127\.0\.0\.1:([0-9]+)/\w*\?\w+=([\w-]{32}))(.*)")


class Page:
    """The page of a run as its client told it on stderr."""

    def __init__(self, told: re.Match[str]) -> None:
        self.url, self.token, self.more = told[1], told[3], told[4]
        self.port = int(told[2])

    def get(self, path: str = "/page") -> bytes:
        with urllib.request.urlopen(self.of(path), timeout=300) as answer:
            body: bytes = answer.read()
            return body

    def of(self, path: str) -> str:
        return urlsplit(self.url)._replace(path=path).geturl()

    def upgraded(self) -> socket.socket:
        """A connection that has become a web socket."""
        parts = urlsplit(self.url)
        pipe = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        asked = f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\n"
        pipe.sendall(f"{asked}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += pipe.recv(1)
        assert b" 101 " in head
        return pipe


def serve(project: Project, image: str) -> None:
    """The repository with the workflow ``served``, on an image with Python."""
    project.workflows(WORKFLOW.format(image=image))
    own = project.folder / ".dstack" / "providers"
    own.mkdir()
    (own / "served.py").write_text(PROVIDER)
    (project.folder / "server.py").write_text(SERVER)


def page_of(client: Client) -> Page:
    """The page that a client tells, once it does."""
    client.until("the page's address is told", lambda: _ADDRESS.search(client.err.decode()))
    told = _ADDRESS.search(client.err.decode())
    assert told is not None
    return Page(told)
