"""Following an attempt: log bytes from an offset, over and over, until its end.

A connection that breaks loses and repeats nothing: the next one asks from the first byte that has
not been received whole. When the machine cannot be reached any more, the store tells the rest.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dstack_cloud.clouds.base import Machine, MachineState
from dstack_cloud.errors import UnreachableError
from dstack_cloud.lifecycle.frames import FrameParser
from dstack_cloud.lifecycle.machine_record import machine_from_json
from dstack_cloud.lifecycle.recover import reconcile
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.machine.push import agent_argv
from dstack_cloud.ssh.base import AgentHome, ConnectionLostError, Session
from dstack_cloud.state import attempts, logs

# The agent sends a frame at least every few seconds: longer silence means a dead connection.
_SILENCE_S = 12.0
_RECONNECT_S = 5.0
_PAUSE_S = 1.0


@dataclass(frozen=True)
class Watch:
    """Who is told: raw bytes of the log file, and the agent's status whenever it changes."""

    log: Callable[[bytes], None]
    status: Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Following:
    """What is followed: a run's attempt on a machine with a host key."""

    run: str
    attempt: int
    machine: Machine
    host_key: str


def follow(
    tools: Tools, target: Following, session: Session | None, offset: int, watch: Watch
) -> dict[str, Any]:
    """Follow from ``offset`` (a byte of the log file) to the end; answers ``end.json``.

    ``session`` is used first if given, and closed. A machine that ended without a word is put on
    record as lost. Raises what the cloud and the store raise.
    """
    while True:
        if session is not None:
            try:
                offset, end = _follow_once(session, tools.reach.home(target.machine), offset, watch)
                if end is not None:
                    return end
            except ConnectionLostError:
                pass
            finally:
                session.close()
        end = attempts.read_end(tools.store, target.run, target.attempt)
        if end is not None:
            for chunk in logs.read_attempt(tools.store, target.run, target.attempt, offset):
                watch.log(chunk.data)
            return end
        session, target = _again(tools, target)


def _follow_once(
    session: Session, home: AgentHome, offset: int, watch: Watch
) -> tuple[int, dict[str, Any] | None]:
    argv = agent_argv("follow", "--offset", str(offset), root=home.root, python=home.python)
    stream = session.stream([*home.prefix, *argv])
    parser = FrameParser()
    try:
        while True:
            data = stream.read(_SILENCE_S)
            if data is None:
                raise ConnectionLostError("the machine has gone silent")
            if not data:
                return offset, None
            for kind, payload in parser.feed(data):
                if kind == "log":
                    watch.log(payload)
                    offset += len(payload)
                elif kind == "status":
                    watch.status(json.loads(payload))
                elif kind == "end":
                    return offset, dict(json.loads(payload))
    finally:
        stream.close()


def _again(tools: Tools, target: Following) -> tuple[Session | None, Following]:
    """One try to get back: a session, or None after a pause. A machine that is gone is an end."""
    tools.report.working("reconnecting", target.machine.id)
    machine = tools.cloud.machine(target.machine.region, target.machine.id)
    if machine is None or machine.state in (MachineState.GONE, MachineState.STOPPED):
        # Its last words may have reached the store between the two looks.
        reconcile(tools, target.run)
        if attempts.read_end(tools.store, target.run, target.attempt) is None:
            time.sleep(_PAUSE_S)
        return None, target
    recorded = attempts.read_machine(tools.store, target.run, target.attempt)
    host_key = machine_from_json(recorded)[1] if recorded else target.host_key
    target = Following(target.run, target.attempt, machine, host_key)
    try:
        return tools.reach.session(machine, host_key, _RECONNECT_S), target
    except UnreachableError:
        time.sleep(_PAUSE_S)
        return None, target
