"""What the life of a run needs from a connection to a machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dstack_cloud.errors import UnreachableError


class ConnectionLostError(UnreachableError):
    """The connection broke: what was under way may or may not have happened."""

    kind = "connection-lost"


@dataclass(frozen=True)
class Completed:
    """A command that ended: its exit code and all it wrote."""

    code: int
    stdout: bytes
    stderr: bytes


class Stream(Protocol):
    """A command that is running, read from as it writes."""

    def read(self, timeout: float) -> bytes | None:
        """What came, at once when something did; b"" at the end; None after ``timeout`` seconds.

        Raises ConnectionLostError.
        """
        ...

    def close(self) -> None:
        """Stop reading; the command may go on."""
        ...


class Pipe(Protocol):
    """A connection, as sockets and paramiko's channels have it."""

    def recv(self, size: int, /) -> bytes:
        """What came, at once when something did; b"" at the end. OSError where it broke."""
        ...

    def sendall(self, data: bytes, /) -> None:
        """Send all of it. OSError where it broke."""
        ...

    def settimeout(self, seconds: float | None, /) -> None:
        """How long `recv` and `sendall` wait before TimeoutError; None: forever."""
        ...

    def shutdown(self, how: int, /) -> None:
        """Say that no more is sent (``socket.SHUT_WR``), or end both directions."""
        ...

    def close(self) -> None:
        """Let go of it; harmless twice."""
        ...


class Session(Protocol):
    """One connection to one machine."""

    def run(self, argv: Sequence[str], stdin: bytes = b"", timeout: float = 60) -> Completed:
        """Run to the end. Raises ConnectionLostError, also after ``timeout`` seconds of nothing."""
        ...

    def stream(self, argv: Sequence[str]) -> Stream:
        """Start, and read as it writes. Raises ConnectionLostError."""
        ...

    def forward(self, host: str, port: int) -> Pipe:
        """A connection to ``host:port`` as the machine sees it. Raises ConnectionLostError."""
        ...

    def close(self) -> None:
        """Close the connection; harmless twice."""
        ...


@dataclass(frozen=True)
class AgentHome:
    """Where the agent lives on a machine and how it is called.

    ``root`` is its folder, ``python`` the interpreter, ``prefix`` what makes a command run with
    the rights that it needs. ``own_machine``: the machine is the run's alone, host key included.
    """

    root: str
    python: str = "python3"
    prefix: tuple[str, ...] = ()
    own_machine: bool = True
