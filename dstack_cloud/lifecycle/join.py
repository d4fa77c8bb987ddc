"""Joining a run from anywhere: what is on record leads to its machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from dstack_cloud.clouds.base import Machine
from dstack_cloud.errors import MachineLostError, NotFoundError, UnreachableError
from dstack_cloud.lifecycle.connection import still_there
from dstack_cloud.lifecycle.follow import Following
from dstack_cloud.lifecycle.machine_record import machine_from_json
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.ssh.base import Session
from dstack_cloud.state import attempts, clients

_CONNECT_S = 30.0
# How long the agent may take to put a new host key on record.
_RECORD_S = 10.0


@dataclass(frozen=True)
class Found:
    """A run's latest attempt as it is on record: with a machine or without, ended or not.

    ``attempt`` is 0 where none was claimed; such a run may have ended all the same.
    """

    run: str
    attempt: int
    target: Following | None
    end: dict[str, Any] | None


def find(tools: Tools, run: str) -> Found:
    """What is on record of the run's latest attempt."""
    attempt = attempts.latest_attempt(tools.store, run)
    if not attempt:
        # Whoever finds it lost, or stops it, writes the end of the attempt that never was.
        return Found(run, 0, None, attempts.read_end(tools.store, run, 1))
    end = attempts.read_end(tools.store, run, attempt)
    recorded = attempts.read_machine(tools.store, run, attempt)
    if recorded is None:
        return Found(run, attempt, None, end)
    machine, host_key = machine_from_json(recorded)
    others = tuple(
        Following(run, attempt, fellow, host_key, node)
        for node, fellow in enumerate(machine.fellows, 1)
    )
    return Found(run, attempt, Following(run, attempt, machine, host_key, others=others), end)


def join(tools: Tools, found: Found) -> tuple[Session, Machine]:
    """A session with the run's machine from this client, wherever it is.

    The client's key goes to the store, from where the agent installs it, and its address is let
    in. Raises NotFoundError without a machine, MachineLostError, UnreachableError.
    """
    if found.target is None or found.end is not None:
        raise NotFoundError(
            f"{found.run} has no machine" + (", it has ended" if found.end else " yet"),
            f"dstack-cloud logs {found.run}",
        )
    machine = still_there(tools, found.target.machine)
    key = tools.reach.public_key()
    if key:
        clients.join(tools.store, found.run, key)
    tools.cloud.admit(machine)
    try:
        return tools.reach.session(machine, found.target.host_key, _CONNECT_S), machine
    except UnreachableError as error:
        host_key = _newer_key(tools, found, _RECORD_S if error.kind == "host-key" else 0.0)
        if host_key is None:
            raise
        return tools.reach.session(machine, host_key, _CONNECT_S), machine


def _newer_key(tools: Tools, found: Found, patience_s: float) -> str | None:
    """The host key is replaced right after the first connection, and then put on record by the
    agent: what the record says now, if it is another key than was found."""
    assert found.target is not None
    deadline = time.monotonic() + patience_s
    while True:
        again = find(tools, found.run)
        if again.target is not None and again.target.host_key != found.target.host_key:
            return again.target.host_key
        if again.attempt != found.attempt or time.monotonic() > deadline:
            return None
        time.sleep(0.3)


def join_if_possible(tools: Tools, found: Found) -> Session | None:
    """A session, or None where following must do without one for now.

    A machine that is ending may have ended well between two looks, and one that cannot be reached
    from here still has its log on the way to the store: `follow` finds out.
    """
    try:
        return join(tools, found)[0]
    except MachineLostError:
        return None
    except UnreachableError as error:
        tools.report.warn("connecting", error.message, "the log comes from the store meanwhile")
        return None
