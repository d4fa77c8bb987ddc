"""Stopping a run: a word in the store that its agent reads, then seeing it ended."""

from __future__ import annotations

import time

from dstack_cloud.clouds.base import MachineState
from dstack_cloud.errors import DetachedError, NotFoundError, UnreachableError
from dstack_cloud.lifecycle.again import stop_between
from dstack_cloud.lifecycle.ending import record_end
from dstack_cloud.lifecycle.finish import confirm_gone
from dstack_cloud.lifecycle.join import Found, find
from dstack_cloud.lifecycle.machine_record import machine_from_json
from dstack_cloud.lifecycle.record import record_from_json
from dstack_cloud.lifecycle.recover import machine_of, reconcile
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.state import attempts, stops
from dstack_cloud.state.runs import RunState, read_run

_POLL_S = 0.5
# On top of the grace period: the agent's look at the store, the last sync, the end's record.
_MARGIN_S = 600.0
_ABORT_S = 30.0


def stop_run(tools: Tools, run: str, abort: bool) -> str:
    """Ask for the stop and wait until the machine is gone; answers the state it ended in.

    A run that has ended is left as it is. Raises NotFoundError for a run that is not there,
    UnreachableError when the agent does not react in time (the machine is then ended hard if
    ``abort``).
    """
    record = record_from_json(read_run(tools.store, run))
    reconcile(tools, run)
    found = find(tools, run)
    if found.end is not None and not found.end.get("retry"):
        tools.report.done("stopped", f"{run} had ended already: {found.end['state']}")
        return str(found.end["state"])
    begun = time.monotonic()
    stops.request_stop(tools.store, run, abort=abort, by=tools.owner)
    if found.end is not None:
        if stop_between(tools, run, found.attempt + 1):
            tools.report.done("stopped", f"{run} was between two attempts")
            return str(RunState.STOPPED)
        # A client was quicker: its attempt finds the word to stop.
        found = find(tools, run)
    tools.report.working("stopping", "waiting for the machine to take note")
    limit = _ABORT_S if abort else record.grace + _MARGIN_S
    while time.monotonic() - begun < limit:
        end = attempts.read_end(tools.store, run, found.attempt) if found.attempt else None
        if end is not None:
            break
        machine = machine_of(tools, run, found.attempt) if found.attempt else None
        if machine is None or machine.state in (MachineState.GONE, MachineState.STOPPED):
            return _without_machine(tools, found)
        time.sleep(_POLL_S)
    else:
        return _hard(tools, run, found, abort)
    return _ended(tools, run, found.attempt, str(end["state"]), time.monotonic() - begun)


def _ended(tools: Tools, run: str, attempt: int, state: str, seconds: float) -> str:
    tools.report.done("stopped", f"{run}: {state}", seconds)
    recorded = attempts.read_machine(tools.store, run, attempt)
    if recorded and confirm_gone(tools, machine_from_json(recorded)[0]):
        tools.report.done("terminated", machine_from_json(recorded)[0].id)
    return state


def _without_machine(tools: Tools, found: Found) -> str:
    """Nothing runs (yet, or any more): the end is ours to write."""
    stopped = DetachedError("stopped before the job started")
    record_end(tools.store, found.run, max(1, found.attempt), RunState.STOPPED, "stopped", stopped)
    tools.report.done("stopped", f"{found.run} had no machine")
    return str(RunState.STOPPED)


def _hard(tools: Tools, run: str, found: Found, abort: bool) -> str:
    machine = machine_of(tools, run, found.attempt)
    if machine is None:
        raise NotFoundError(f"{run} has no machine")
    if not abort:
        raise UnreachableError(
            f"machine {machine.id} does not react to the stop",
            f"dstack-cloud stop {run} --abort ends it without saving artifacts",
        )
    tools.cloud.terminate(machine.region, [machine.id])
    aborted = DetachedError("ended hard: its agent did not react")
    record_end(tools.store, run, found.attempt, RunState.STOPPED, "aborted", aborted)
    confirm_gone(tools, machine)
    tools.report.done("terminated", machine.id)
    return str(RunState.STOPPED)
