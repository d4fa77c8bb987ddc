"""Following an attempt: log bytes from an offset, over and over, until its end.

A connection that breaks loses and repeats nothing: the next one asks from the first byte that has
not been received. While the machine cannot be reached, the store tells what it has: it holds the
same bytes at the same offsets.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dstack_cloud.clouds.base import Machine, MachineState
from dstack_cloud.errors import TryAgainError, UnreachableError
from dstack_cloud.lifecycle.connection import readmit
from dstack_cloud.lifecycle.cut_off import Silence, take_over
from dstack_cloud.lifecycle.frames import FrameParser
from dstack_cloud.lifecycle.machine_record import machine_from_json
from dstack_cloud.lifecycle.recover import reconcile
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.machine.push import agent_argv
from dstack_cloud.ssh.base import AgentHome, ConnectionLostError, Session
from dstack_cloud.state import attempts, logs

# The agent's `follow` sends a frame every 4 s at the latest, whatever the job does: longer
# silence is a dead connection. A machine that died must be told of within 15 s.
_SILENCE_S = 10.0
_RECONNECT_S = 5.0
_PAUSE_S = 1.0
# A caller without a network reaches neither cloud nor store: so long it may take to come back.
_PATIENCE_S = 600.0


def _nobody(session: Session | None, home: AgentHome) -> None:
    """For who does not need to know."""


@dataclass(frozen=True)
class Watch:
    """Who is told: raw bytes of the log file, the agent's status whenever it changes, and by which
    connection the machine is reached (None while there is none)."""

    log: Callable[[bytes], None]
    status: Callable[[Mapping[str, Any]], None]
    reached: Callable[[Session | None, AgentHome], None] = _nobody


@dataclass(frozen=True)
class Following:
    """What is followed: a run's attempt on a machine with a host key. Of several machines it is
    ``node``; node 0 has the ``others`` with it."""

    run: str
    attempt: int
    machine: Machine
    host_key: str
    node: int = 0
    others: tuple[Following, ...] = ()


def follow(
    tools: Tools, target: Following, session: Session | None, offset: int, watch: Watch
) -> dict[str, Any]:
    """Follow from ``offset`` (a byte of the log file) to the end; answers ``end.json``.

    ``session`` is used first if given, and closed. A machine that ended without a word is put on
    record as lost; so is one that is cut off, where another attempt follows. Nodes other than the
    first are followed until the attempt has ended, at the latest. Raises what the cloud and the
    store raise; a passing error only once there was nothing else for ten minutes.
    """
    deadline = time.monotonic() + _PATIENCE_S
    silence = Silence()
    while True:
        if session is not None:
            begun = time.monotonic()
            tools.rest()
            home = tools.reach.home(target.machine)
            watch.reached(session, home)
            offset, end = _follow_once(session, home, offset, watch)
            watch.reached(None, home)
            if end is not None:
                return end
            deadline = time.monotonic() + _PATIENCE_S
            silence.broken()
            tools.report.working("reconnecting", target.machine.id)
            # One that breaks at once must not become a hammer.
            time.sleep(max(0.0, begun + _PAUSE_S - time.monotonic()))
        try:
            end = _end_of(tools, target)
            if end is not None:
                _from_store(tools, target, offset, watch)
                return end
            session, target = _again(tools, target)
            if session is None:
                offset = _from_store(tools, target, offset, watch)
                # What becomes of another node's silence is for the agent of the first to say.
                if not target.node:
                    take_over(tools, target.run, target.attempt, target.machine, silence)
            deadline = time.monotonic() + _PATIENCE_S
        except TryAgainError:
            if time.monotonic() > deadline:
                raise
            session = None
            time.sleep(_PAUSE_S)


def _end_of(tools: Tools, target: Following) -> dict[str, Any] | None:
    """How the node has ended, or the attempt without a word from it."""
    end = attempts.read_end(tools.store, target.run, target.attempt, target.node)
    if end is None and target.node:
        return attempts.read_end(tools.store, target.run, target.attempt)
    return end


def _follow_once(
    session: Session, home: AgentHome, offset: int, watch: Watch
) -> tuple[int, dict[str, Any] | None]:
    """Follow until the end or until the connection breaks: how far it got, and the end if it
    came. Closes the session."""
    argv = agent_argv("follow", "--offset", str(offset), root=home.root, python=home.python)
    parser = FrameParser()
    try:
        stream = session.stream([*home.prefix, *argv])
        try:
            while data := stream.read(_SILENCE_S):
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
    except ConnectionLostError:
        pass
    finally:
        session.close()
    return offset, None


def _from_store(tools: Tools, target: Following, offset: int, watch: Watch) -> int:
    """Tell what the store has beyond ``offset``; answers where that ends."""
    for chunk in logs.read_attempt(tools.store, target.run, target.attempt, offset, target.node):
        watch.log(chunk.data)
        offset = chunk.end
    return offset


def tell_lost(tools: Tools, target: Following) -> None:
    """Tell the other nodes that this one is gone without a word: they save their work and end."""
    failure = {
        "node": target.node,
        "state": "failed",
        "reason": "interrupted",
        "exit_code": None,
        "message": f"machine {target.machine.id} ended without a word",
        "lost": True,
        "hint": None,
    }
    attempts.record_failure(tools.store, target.run, target.attempt, failure)


def _again(tools: Tools, target: Following) -> tuple[Session | None, Following]:
    """One try to get back: a session, or None after a pause. A machine that is gone is an end."""
    machine = tools.cloud.machine(target.machine.region, target.machine.id)
    if machine is None or machine.state in (MachineState.GONE, MachineState.STOPPED):
        # Its last words may have reached the store between the two looks.
        if not target.node:
            reconcile(tools, target.run)
        elif _end_of(tools, target) is None:
            tell_lost(tools, target)
        if _end_of(tools, target) is None:
            time.sleep(_PAUSE_S)
        return None, target
    recorded = attempts.read_machine(tools.store, target.run, target.attempt, target.node)
    host_key = machine_from_json(recorded)[1] if recorded else target.host_key
    machine = target.machine.seen(machine)
    target = replace(target, machine=machine, host_key=host_key)
    try:
        return tools.reach.session(machine, host_key, _RECONNECT_S), target
    except UnreachableError:
        # A laptop that has moved calls from another address, which is not let in yet.
        readmit(tools, machine)
        time.sleep(_PAUSE_S)
        return None, target
