"""A session with this very machine, for the local cloud: the same calls, no SSH."""

from __future__ import annotations

import os
import select
import socket
import subprocess
from collections.abc import Sequence

from dstack_cloud.ssh.base import Completed, ConnectionLostError

_DIAL_S = 15.0


class LocalStream:
    """A running local command."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        assert process.stdout is not None
        self._descriptor = process.stdout.fileno()

    def read(self, timeout: float) -> bytes | None:
        ready, _, _ = select.select([self._descriptor], [], [], timeout)
        return os.read(self._descriptor, 1 << 18) if ready else None

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate()


class LocalSession:
    """Runs commands as subprocesses of this one."""

    def run(self, argv: Sequence[str], stdin: bytes = b"", timeout: float = 60) -> Completed:
        try:
            done = subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise ConnectionLostError(f"{argv[0]} did not answer for {timeout:.0f} s") from error
        return Completed(done.returncode, done.stdout, done.stderr)

    def stream(self, argv: Sequence[str]) -> LocalStream:
        # A group of its own: Ctrl-C at the terminal detaches the client and touches nothing else.
        return LocalStream(
            subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )

    def forward(self, host: str, port: int) -> socket.socket:
        try:
            pipe = socket.create_connection((host, port), _DIAL_S)
        except OSError as error:
            raise ConnectionLostError(f"no connection to {host}:{port}: {error}") from error
        pipe.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return pipe

    def close(self) -> None:
        """Nothing to close."""
