"""A run's output over all its attempts: from the store what is there, the rest from the machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dstack_cloud.errors import UnreachableError
from dstack_cloud.lifecycle.follow import Watch, follow
from dstack_cloud.lifecycle.join import Found, find, join
from dstack_cloud.lifecycle.recover import reconcile
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.ssh.base import Session
from dstack_cloud.state import logs
from dstack_cloud.state.cri import Line, Lines, Output


def print_logs(
    tools: Tools, run: str, following: bool, timestamps: bool, write: Callable[[bytes], None]
) -> None:
    """Write the output of all attempts in order; ``following`` goes on until the run's end."""
    reconcile(tools, run)
    found = find(tools, run)
    decode = _decoder(timestamps)
    attempt, offset = 1, 0
    for chunk in logs.read_log(tools.store, run):
        if chunk.attempt != attempt:
            attempt, decode = chunk.attempt, _decoder(timestamps)
        write(decode(chunk.data))
        offset = chunk.end
    if attempt != found.attempt:
        offset, decode = 0, _decoder(timestamps)
    if found.end is not None or found.target is None:
        return
    watch = Watch(lambda data: write(decode(data)), _ignore)
    try:
        session, _ = join(tools, found)
    except UnreachableError:
        if not following:
            # What has reached the store was shown; a machine that can't be reached adds nothing.
            return
        raise
    if following:
        follow(tools, found.target, session, offset, watch)
    else:
        _rest(tools, found, session, offset, watch)


def _rest(tools: Tools, found: Found, session: Session, offset: int, watch: Watch) -> None:
    """What the machine has beyond ``offset`` at this moment."""
    assert found.target is not None
    home = tools.reach.home(found.target.machine)
    tail = ["tail", "-c", f"+{offset + 1}", f"{home.root}/log"]
    try:
        watch.log(session.run([*home.prefix, *tail]).stdout)
    finally:
        session.close()


def _ignore(status: Mapping[str, Any]) -> None:
    """Phases are not part of the output."""


def _decoder(timestamps: bool) -> Callable[[bytes], bytes]:
    """From log bytes to what is printed: the output itself, or lines with their moments."""
    if not timestamps:
        return Output().feed
    lines = Lines()
    return lambda data: b"".join(_stamped(line) for line in lines.feed(data))


def _stamped(line: Line) -> bytes:
    return line.time.encode() + b" " + line.text + b"\n"
