"""A stub's stand-in for the Docker engine: what the agent asks of one, over the unix socket.

A container is a process group of the stub itself, its working directory the folder that is mounted
there: no image, no isolation. Every image is there. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_NEVER = "0001-01-01T00:00:00Z"


def stamp() -> str:
    """Now, with the nine digits that the engine writes."""
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds:09d}Z"


@dataclass
class Container:
    """``records`` are (seconds since 1970, frame), in the order in which the output came.

    ``process`` is only kept: let go of, it would look for its child's end itself, and the stub's
    init, which tells of ends, would not hear of a container that ended at once.
    """

    name: str
    process: subprocess.Popen[bytes]
    started: str
    finished: str = _NEVER
    code: int | None = None
    records: list[tuple[float, bytes]] = field(default_factory=list)
    streams: int = 2

    @property
    def pid(self) -> int:
        return self.process.pid

    def described(self) -> dict[str, Any]:
        running = self.code is None
        return {
            "Id": self.name,
            "Name": f"/{self.name}",
            "State": {
                "Status": "running" if running else "exited",
                "Running": running,
                "OOMKilled": False,
                "Error": "",
                "ExitCode": self.code or 0,
                "StartedAt": self.started,
                "FinishedAt": self.finished,
            },
        }


class _UnixServer(ThreadingHTTPServer):
    address_family = socket.AF_UNIX
    daemon_threads = True
    engine: Engine

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "docker", 0

    def get_request(self) -> tuple[Any, Any]:
        # A client of a unix socket has no address, which the base class writes to its log.
        return super().get_request()[0], ("docker", 0)


class Engine:
    """Containers by name; ``ended`` is told of every process that ended."""

    def __init__(self, path: str) -> None:
        self.changed = threading.Condition()
        self.containers: dict[str, Container] = {}
        self.pulled: set[str] = set()
        self._codes: dict[int, int] = {}
        self._server = _UnixServer(path, _Handler)  # type: ignore[arg-type]
        self._server.engine = self

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def run(self, asked: dict[str, Any]) -> Container | None:
        """Start a container as the ``docker`` beside this file asks; None where the name is in
        use. Raises OSError for a command that cannot be run."""
        with self.changed:
            if asked["name"] in self.containers:
                return None
            process = subprocess.Popen(
                asked["argv"],
                cwd=asked["cwd"],
                env=asked["env"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            container = Container(asked["name"], process, stamp())
            self.containers[container.name] = container
        for kind, source in ((1, process.stdout), (2, process.stderr)):
            threading.Thread(target=self._record, args=(container, kind, source)).start()
        return container

    def ended(self, pid: int, status: int) -> None:
        """A process has ended, with this status of wait(2)."""
        code = os.waitstatus_to_exitcode(status)
        with self.changed:
            self._codes[pid] = code if code >= 0 else 128 - code
            self._settle()

    def kill(self, name: str, number: int) -> bool:
        """Signal the whole group, as the container's init would; False if none runs."""
        container = self.containers.get(name)
        if container is None or container.code is not None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(container.pid, number)
        return True

    def _record(self, container: Container, kind: int, source: Any) -> None:
        for line in source:
            moment = stamp()
            text = f"{moment} ".encode() + line
            with self.changed:
                container.records.append(
                    (time.time(), struct.pack(">BxxxI", kind, len(text)) + text)
                )
                self.changed.notify_all()
        with self.changed:
            container.streams -= 1
            self._settle()

    def _settle(self) -> None:
        """A container has ended once its process has, and all its output is there."""
        for container in self.containers.values():
            if container.code is None and not container.streams and container.pid in self._codes:
                container.code = self._codes[container.pid]
                container.finished = stamp()
        self.changed.notify_all()


class _Handler(BaseHTTPRequestHandler):
    server: _UnixServer

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        words = [unquote(word) for word in parts.path.strip("/").split("/")]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        engine = self.server.engine
        container = engine.containers.get(words[1]) if len(words) > 1 else None
        if words == ["_ping"]:
            self._answer(200, b"OK")
        elif words == ["stub", "run"]:
            self._run(json.loads(body))
        elif words == ["images", "create"]:
            engine.pulled.add(query["fromImage"])
            self._answer(200, json.dumps({"status": "Image is up to date"}).encode() + b"\n")
        elif words[0] == "images":
            name = "/".join(words[1:-1])
            if ".dkr.ecr." in name and name not in engine.pulled:
                # Not there, so that the agent signs in for it.
                self._json(404, {"message": f"No such image: {name}"})
            else:
                self._json(200, {"Id": "stub", "Size": 0})
        elif container is None:
            self._json(404, {"message": f"No such container: {self.path}"})
        elif self.command == "DELETE":
            engine.kill(container.name, signal.SIGKILL)
            with engine.changed:
                del engine.containers[container.name]
            self._answer(204)
        elif words[2:] == ["json"]:
            self._json(200, container.described())
        elif words[2:] == ["kill"]:
            known = engine.kill(container.name, getattr(signal, f"SIG{query['signal']}"))
            self._answer(204 if known else 409)
        elif words[2:] == ["logs"]:
            self._logs(container, query)
        else:
            self._json(404, {"message": "page not found"})

    do_GET = do_POST = do_DELETE = _serve

    def _run(self, asked: dict[str, Any]) -> None:
        try:
            container = self.server.engine.run(asked)
        except OSError as error:
            self._json(400, {"message": f"{asked['argv'][0]}: {error.strerror}"})
            return
        if container is None:
            self._json(409, {"message": f"the name {asked['name']} is in use"})
        else:
            self._json(201, {"Id": container.name})

    def _logs(self, container: Container, query: dict[str, str]) -> None:
        """Multiplexed frames, until the container's end where asked to follow."""
        self.send_response(200)
        self.end_headers()
        changed = self.server.engine.changed
        since, sent = float(query.get("since", 0)), 0
        if "tail" in query:
            sent = max(0, len(container.records) - int(query["tail"]))
        while True:
            with changed:
                fresh = container.records[sent:]
                over = container.code is not None or query.get("follow") != "1"
                if not fresh and not over:
                    changed.wait()
                    continue
            sent += len(fresh)
            try:
                self.wfile.write(b"".join(frame for moment, frame in fresh if moment >= since))
                self.wfile.flush()
            except OSError:
                return
            if over and sent == len(container.records):
                return

    def _json(self, status: int, value: dict[str, Any]) -> None:
        self._answer(status, json.dumps(value).encode())

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the agent asks often."""
