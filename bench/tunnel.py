"""A forwarded port's throughput and delay, beside ``ssh -L`` to the same server.

The server is a run's container on an emulated machine. Ours is an attached `run`, which forwards
the port; the peer is OpenSSH's client with the same key. They move data in turn.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from support import PROGRAM, Row, emulator, in_turn, main, median, row

_MB = 64
_CALLS = 200
_TIMES = 3
_PORT = 8000
# Sends so many megabytes, or echoes byte for byte.
_SERVER = f"""
import socket, threading
def serve(one):
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while what := one.recv(1):
        one.sendall(what if what == b"e" else bytes(1 << 20) * {_MB})
listener = socket.create_server(("", {_PORT}), backlog=64)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
_WORKFLOW = """\
workflows:
  - name: served
    provider: python
    file: server.py
    ports: [8000]
    resources: {gpu: T4}
"""


def measure() -> list[Row]:
    with contextlib.ExitStack() as stack:
        env = stack.enter_context(emulator(f"bench-tunnel-{os.getpid()}"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-tunnel-")))
        (folder / ".dstack").mkdir()
        (folder / ".dstack" / "workflows.yaml").write_text(_WORKFLOW)
        (folder / "server.py").write_text(_SERVER)
        subprocess.run(["git", "init", "-q", str(folder)], check=True)
        ports = {
            "ours": stack.enter_context(_ours(folder, env)),
            "ssh -L": stack.enter_context(_peer(env)),
        }
        moved = in_turn({name: partial(_throughput, port) for name, port in ports.items()}, _TIMES)
        took = in_turn({name: partial(_delay, port) for name, port in ports.items()}, _TIMES)
    return [
        row(
            f"a forwarded port, {_MB} MB from the machine",
            median(moved["ours"]),
            "MB/s",
            against="ssh -L",
            peer=median(moved["ssh -L"]),
        ),
        row(
            "a forwarded port, a byte there and back",
            median(took["ours"]),
            "ms",
            against="ssh -L",
            peer=median(took["ssh -L"]),
        ),
    ]


@contextlib.contextmanager
def _ours(folder: Path, env: Mapping[str, str]) -> Iterator[int]:
    """An attached run, which forwards the port."""
    argv = [PROGRAM, "run", "served", "-y"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        argv, cwd=folder, env=env, stdout=quiet, stderr=subprocess.PIPE, text=True
    ) as client:
        assert client.stderr is not None
        try:
            found = (re.search(r"http://127\.0\.0\.1:(\d+)", line) for line in client.stderr)
            yield int(next(filter(None, found))[1])
        finally:
            stop = [PROGRAM, "stop", "served-1", "--abort"]
            subprocess.run(stop, cwd=folder, env=env, check=True, capture_output=True)


@contextlib.contextmanager
def _peer(env: Mapping[str, str]) -> Iterator[int]:
    """OpenSSH's client, with the run's key."""
    control = env["MOTO_FIXTURES_URL"].rstrip("/") + "/_emulator/machines"
    with urllib.request.urlopen(control, timeout=60) as answer:
        (machine,) = [one for one in json.load(answer) if one["state"] == "running"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    key = Path(env["DSTACK_CLOUD_CONFIG"]).with_name("id_ed25519")
    argv = ["ssh", "-N", "-i", str(key), "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"]
    argv += ["-o", "UserKnownHostsFile=/dev/null", "-o", "ExitOnForwardFailure=yes"]
    argv += ["-L", f"127.0.0.1:{port}:127.0.0.1:{_PORT}", f"ubuntu@{machine['address']}"]
    with subprocess.Popen(argv) as client:
        try:
            for _ in range(100):
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                time.sleep(0.1)
            yield port
        finally:
            client.terminate()


def _throughput(port: int) -> float:
    """MB/s of what the server sends."""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as pipe:
        begun, left = time.perf_counter(), _MB << 20
        pipe.sendall(b"s")
        while left:
            data = pipe.recv(1 << 20)
            assert data, "the connection ended early"
            left -= len(data)
        return _MB / (time.perf_counter() - begun)


def _delay(port: int) -> float:
    """Milliseconds of a byte there and back, the median of many."""
    took = []
    with socket.create_connection(("127.0.0.1", port), timeout=120) as pipe:
        pipe.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(_CALLS):
            begun = time.perf_counter()
            pipe.sendall(b"e")
            assert pipe.recv(1) == b"e"
            took.append((time.perf_counter() - begun) * 1000)
    return median(took)


if __name__ == "__main__":
    main(measure)
