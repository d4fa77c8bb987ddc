"""A client that follows a log, as a process: its output as it comes, and its TCP connection."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable

import pytest
from support.emulated import CLI, PATIENCE_S, Project


class Client:
    """A running ``dstack-cloud …``; ``out`` and ``err`` grow while it runs."""

    def __init__(self, project: Project, *args: str) -> None:
        self.out = bytearray()
        self.err = bytearray()
        self._grown = threading.Condition()
        self.process = subprocess.Popen(
            # A shell starts what is to run in the background with SIGINT ignored.
            ["env", "--default-signal=INT", *CLI, *args],
            cwd=project.folder,
            env=project.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        pairs = ((self.process.stdout, self.out), (self.process.stderr, self.err))
        self._readers = [threading.Thread(target=self._read, args=pair) for pair in pairs]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe: object, into: bytearray) -> None:
        assert hasattr(pipe, "read1")
        while data := pipe.read1(1 << 18):
            with self._grown:
                into += data
                self._grown.notify_all()
        with self._grown:
            self._grown.notify_all()

    def until(self, what: str, check: Callable[[], object], seconds: float = PATIENCE_S) -> None:
        """Wait until ``check`` is true, looking again whenever output came."""
        with self._grown:
            if not self._grown.wait_for(lambda: check() or not self._reading(), seconds):
                pytest.fail(f"not within {seconds:.0f} s: {what}; {self.err.decode()}")
            assert check(), f"the client ended before: {what}; {self.err.decode()}"

    def _reading(self) -> bool:
        return any(reader.is_alive() for reader in self._readers)

    def wait(self, seconds: float = PATIENCE_S) -> int:
        """The exit code, once it has ended and all of its output is here."""
        code = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(10)
        return code

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait()


def connections(pid: int, address: str) -> list[str]:
    """The local ports of a process's established connections to a machine's sshd."""
    told = subprocess.run(
        ["ss", "-tnpH", "state", "established", "dst", address, "dport", "=", "22"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [line for line in told.splitlines() if f"pid={pid}," in line]
    return [line.split()[2].rpartition(":")[2] for line in lines]


def cut(address: str, port: str) -> bool:
    """Reset one TCP connection to a machine's sshd, both ends; False when it was gone already."""
    words = ["dst", address, "dport", "=", "22", "sport", "=", port]
    done = subprocess.run(
        ["ss", "--kill", "-tnH", *words], capture_output=True, text=True, check=True
    )
    return bool(done.stdout.strip())
