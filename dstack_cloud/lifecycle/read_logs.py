"""A run's output over all its attempts: from the store what is there, the rest from the machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dstack_cloud.lifecycle.follow import Watch, follow
from dstack_cloud.lifecycle.join import Found, find, join_if_possible
from dstack_cloud.lifecycle.recover import reconcile
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.ssh.base import ConnectionLostError, Session
from dstack_cloud.state import logs
from dstack_cloud.state.cri import Line, Lines, Output

_SILENCE_S = 10.0


def print_logs(
    tools: Tools, run: str, following: bool, timestamps: bool, write: Callable[[bytes], None]
) -> None:
    """Write the output of all attempts in order; ``following`` goes on until the run's end."""
    reconcile(tools, run)
    found = find(tools, run)
    text = _Stamped() if timestamps else Output()
    attempt, offset = 1, 0
    for chunk in logs.read_log(tools.store, run):
        if chunk.attempt != attempt:
            write(text.finish())
            attempt = chunk.attempt
        write(text.feed(chunk.data))
        offset = chunk.end
    if attempt != found.attempt:
        write(text.finish())
        offset = 0
    if found.end is None and found.target is not None:
        _from_machine(tools, found, following, offset, lambda data: write(text.feed(data)))
    write(text.finish())


def _from_machine(
    tools: Tools, found: Found, following: bool, offset: int, tell: Callable[[bytes], None]
) -> None:
    """What the machine has beyond ``offset``, or all until the end."""
    assert found.target is not None
    session = join_if_possible(tools, found)
    if following:
        follow(tools, found.target, session, offset, Watch(tell, _ignore))
    elif session is not None:
        _rest(tools, found, session, offset, tell)
    else:
        for chunk in logs.read_attempt(tools.store, found.run, found.attempt, offset):
            tell(chunk.data)


def _rest(
    tools: Tools, found: Found, session: Session, offset: int, tell: Callable[[bytes], None]
) -> None:
    """What the machine has beyond ``offset`` at this moment. Raises ConnectionLostError."""
    assert found.target is not None
    home = tools.reach.home(found.target.machine)
    stream = None
    try:
        stream = session.stream([*home.prefix, "tail", "-c", f"+{offset + 1}", f"{home.root}/log"])
        while data := stream.read(_SILENCE_S):
            tell(data)
        if data is None:
            raise ConnectionLostError("the machine has gone silent")
    finally:
        if stream is not None:
            stream.close()
        session.close()


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
