"""``code``: what its server is given, with a stand-in for the server.

The stand-in takes the options that openvscode-server has, and refuses others; like it, it wants the
token in the address and answers web sockets. VS Code's own server was tried by hand: see
docs/providers.md.
"""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request

import pytest
from support.emulated import Project
from support.follower import Client
from support.local import rows
from support.served import page_of

from moto_fixtures.machine import images

WORKFLOW = """
    workflows:
      - name: ide
        provider: code
        image: {image}
        before_run: [install -m 755 stand-in.py /usr/local/bin/openvscode-server]
        artifacts: [{{path: output}}]
"""
STAND_IN = """\
#!/usr/bin/env python3
import argparse, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("--host")
parser.add_argument("--port", type=int)
parser.add_argument("--connection-token-file", type=Path)
parser.add_argument("--accept-server-license-terms", action="store_true", required=True)
parser.add_argument("--telemetry-level", choices=["off", "crash", "error", "all"])
parser.add_argument("--default-folder")
asked = parser.parse_args()
token = asked.connection_token_file.read_text()
assert asked.connection_token_file.stat().st_mode & 0o077 == 0
assert token not in Path("/proc/self/cmdline").read_text()

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        parts = urlsplit(self.path)
        if parse_qs(parts.query).get("tkn") != [token]:
            self.send_error(403)
            return
        if self.headers.get("Upgrade") == "websocket":
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.end_headers()
            self.connection.sendall(self.connection.recv(100).upper())
            return
        if parts.path == "/end":
            Path("output").mkdir()
            Path("output/edited.py").write_text("print(1)")
            Thread(target=server.shutdown).start()
        body = " ".join(sorted(os.listdir(asked.default_folder))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = ThreadingHTTPServer((asked.host, asked.port), Handler)
print("Server bound", flush=True)
server.serve_forever()
"""


def test_it_opens_on_the_users_code(local: Project) -> None:
    local.workflows(WORKFLOW.format(image=images.ensure().conda))
    (local.folder / "stand-in.py").write_text(STAND_IN)
    (local.folder / "mine.py").write_text("print('mine')\n")
    with Client(local, "run", "ide", "--cloud", "local", "-y") as client:
        page = page_of(client)
        assert f"/?tkn={page.token}" in page.url
        assert page.get("/").decode().split() == [".dstack", "mine.py", "stand-in.py"]
        with page.upgraded() as pipe:
            pipe.sendall(b"hello")
            assert pipe.recv(100) == b"HELLO"
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(page.url.replace(page.token, "x" * 32), timeout=30)
        page.get("/end")
        assert client.wait() == 0
    [row] = rows(local)
    assert row["state"] == "done"
    copied = subprocess.run(
        ["find", local.environ["HOME"], "-name", "edited.py"], capture_output=True, text=True
    )
    assert copied.stdout.strip().endswith("output/edited.py")
