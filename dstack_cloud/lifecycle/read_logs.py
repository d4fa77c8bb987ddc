"""A run's output over all its attempts: from the store what is there, the rest from the machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dstack_cloud.lifecycle.follow import Watch, follow
from dstack_cloud.lifecycle.join import Found, find, join_if_possible
from dstack_cloud.lifecycle.recover import reconcile
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.lifecycle.verdict import Verdict
from dstack_cloud.ssh.base import AgentHome, ConnectionLostError, Session
from dstack_cloud.state import attempts, logs
from dstack_cloud.state.cri import Line, Lines, Output

_SILENCE_S = 10.0
_POLL_S = 1.0


def print_logs(
    tools: Tools, run: str, following: bool, timestamps: bool, write: Callable[[bytes], None]
) -> None:
    """Write the output of all attempts in order; ``following`` goes on until the run's end."""
    reader = _Reader(_Stamped() if timestamps else Output(), write)
    while True:
        over = reconcile(tools, run) is Verdict.ENDED
        found = find(tools, run)
        for chunk in logs.read_log(tools.store, run, reader.attempt, reader.offset):
            reader.enter(chunk.attempt)
            reader.read(chunk.data)
        if found.end is None and found.target is not None and reader.attempt <= found.attempt:
            reader.enter(found.attempt)
            _from_machine(tools, found, following, reader)
        if over or not following:
            reader.close()
            return
        time.sleep(_POLL_S)


def sync_of(tools: Tools, run: str) -> Mapping[str, Any]:
    """The agent's last word on the artifacts of a run that is live; nothing once it has ended."""
    found = find(tools, run)
    if found.end is not None or not found.attempt:
        return {}
    status = attempts.read_status(tools.store, run, found.attempt) or {}
    return dict(status.get("sync") or {})


class _Reader:
    """Where in the log of which attempt the reader is, and what it makes of it."""

    def __init__(self, text: Output | _Stamped, write: Callable[[bytes], None]) -> None:
        self.attempt, self.offset = 1, 0
        self._text = text
        self._write = write

    def enter(self, attempt: int) -> None:
        """From here on it is this attempt's log."""
        if attempt != self.attempt:
            self.close()
            self.attempt, self.offset = attempt, 0

    def read(self, data: bytes) -> None:
        """The next bytes of the attempt's log."""
        self._write(self._text.feed(data))
        self.offset += len(data)

    def close(self) -> None:
        """No more of this attempt will come."""
        self._write(self._text.finish())


def _from_machine(tools: Tools, found: Found, following: bool, reader: _Reader) -> None:
    """What the machine has beyond what was read, or all until the attempt's end."""
    assert found.target is not None
    session = join_if_possible(tools, found)
    if following:
        follow(tools, found.target, session, reader.offset, Watch(reader.read, _ignore))
    elif session is not None:
        _rest(tools, found, session, reader)
    else:
        for chunk in logs.read_attempt(tools.store, found.run, found.attempt, reader.offset):
            reader.read(chunk.data)


def _rest(tools: Tools, found: Found, session: Session, reader: _Reader) -> None:
    """What the machine has at this moment. Raises ConnectionLostError."""
    assert found.target is not None
    for data in rest_of_log(tools.reach.home(found.target.machine), session, reader.offset):
        reader.read(data)


def rest_of_log(home: AgentHome, session: Session, offset: int) -> Iterator[bytes]:
    """What a machine's log has from ``offset`` on at this moment. Closes the session. Raises
    ConnectionLostError."""
    tail = ["tail", "-c", f"+{offset + 1}", f"{home.root}/log"]
    try:
        stream = session.stream([*home.prefix, *tail])
        try:
            while data := stream.read(_SILENCE_S):
                yield data
        finally:
            stream.close()
    finally:
        session.close()
    if data is None:
        raise ConnectionLostError("the machine has gone silent")


def _ignore(status: Mapping[str, Any]) -> None:
    """Phases are not part of the output."""


class _Stamped:
    """From log bytes to lines with their moments."""

    def __init__(self) -> None:
        self._lines = Lines()

    def feed(self, data: bytes) -> bytes:
        return b"".join(map(_stamped, self._lines.feed(data)))

    def finish(self) -> bytes:
        return b"".join(map(_stamped, self._lines.finish()))


def _stamped(line: Line) -> bytes:
    return line.time.encode() + b" " + line.text + b"\n"
