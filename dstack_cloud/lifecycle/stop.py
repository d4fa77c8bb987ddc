"""Stopping a run: a word in the store that its agent reads, then seeing it ended."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dstack_cloud.clouds.base import MachineState
from dstack_cloud.errors import DetachedError, NotFoundError, UnreachableError
from dstack_cloud.lifecycle.again import stop_between
from dstack_cloud.lifecycle.claim import Lapse
from dstack_cloud.lifecycle.ending import record_end
from dstack_cloud.lifecycle.finish import confirm_gone
from dstack_cloud.lifecycle.join import Found, find
from dstack_cloud.lifecycle.machine_record import machine_from_json
from dstack_cloud.lifecycle.record import RunRecord, record_from_json
from dstack_cloud.lifecycle.recover import machine_of, reconcile
from dstack_cloud.lifecycle.takeover import take_over_launch
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.state import attempts, stops
from dstack_cloud.state.runs import RunState, read_run

_POLL_S = 0.5
# On top of the grace period: the agent's look at the store, the last sync, the end's record.
_MARGIN_S = 600.0
_ABORT_S = 30.0


def stop_run(tools: Tools, run: str, abort: bool) -> str:
    """Ask for the stop and wait until the run's machines are gone; answers the state it ended in.

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
    stops.request_stop(tools.store, run, abort=abort, by=tools.owner)
    limit = _ABORT_S if abort else record.grace + _MARGIN_S
    while True:
        end = found.end or _see_ended(tools, record, found, limit, abort)
        if not end.get("retry"):
            break
        if stop_between(tools, run, found.attempt + 1):
            tools.report.done("stopped", f"{run} was between two attempts")
            end = {"state": RunState.STOPPED}
            break
        # A client was quicker: its attempt finds the word to stop.
        found = find(tools, run)
    # One that was interrupted before may still be saving its work.
    for earlier in attempts.unended(tools.store, run, max(1, found.attempt)):
        _see_ended(tools, record, replace(found, attempt=earlier), limit, abort, latest=False)
    if found.attempt > 1:
        # Its agent called the run recovering, not knowing how the next attempt ended.
        reconcile(tools, run)
    return str(end["state"])


def _see_ended(
    tools: Tools,
    record: RunRecord,
    found: Found,
    limit: float,
    abort: bool,
    latest: bool = True,
) -> Mapping[str, Any]:
    """Wait for an attempt's end, and see its machine gone; the end, which may become ours to
    write."""
    run, attempt = found.run, found.attempt
    begun, lapse = time.monotonic(), Lapse()
    tools.report.working("stopping", "waiting for the machine to take note")
    while time.monotonic() - begun < limit:
        end = attempts.read_end(tools.store, run, attempt) if attempt else None
        if end is not None:
            return _ended(tools, run, attempt, end, time.monotonic() - begun)
        machine = machine_of(tools, run, attempt) if attempt else None
        if machine is None or machine.state in (MachineState.GONE, MachineState.STOPPED):
            return _without_machine(tools, found, latest)
        if latest:
            # Nobody would tell it: no agent has begun, and its client may be gone.
            take_over_launch(tools, record, attempt, lapse, stopped=True)
        time.sleep(_POLL_S)
    return _hard(tools, found, abort, latest)


def _ended(
    tools: Tools, run: str, attempt: int, end: Mapping[str, Any], seconds: float
) -> Mapping[str, Any]:
    if not end.get("retry"):
        tools.report.done("stopped", f"{run}: {end['state']}", seconds)
    recorded = attempts.read_machine(tools.store, run, attempt)
    if recorded and confirm_gone(tools, machine_from_json(recorded)[0]):
        tools.report.done("terminated", ", ".join(machine_from_json(recorded)[0].ids))
    return end


def _without_machine(tools: Tools, found: Found, latest: bool) -> Mapping[str, Any]:
    """Nothing runs (yet, or any more): the end is ours to write, unless it has just come."""
    stopped = DetachedError("stopped before the job started")
    number, state = max(1, found.attempt), RunState.STOPPED
    if record_end(tools.store, found.run, number, state, "stopped", stopped, latest=latest):
        tools.report.done("stopped", f"attempt {number} of {found.run} had no machine")
    return attempts.read_end(tools.store, found.run, number) or {"state": state}


def _hard(tools: Tools, found: Found, abort: bool, latest: bool) -> Mapping[str, Any]:
    run = found.run
    machine = machine_of(tools, run, found.attempt)
    if machine is None:
        raise NotFoundError(f"{run} has no machine")
    if not abort:
        raise UnreachableError(
            f"machine {machine.id} does not react to the stop",
            f"dstack-cloud stop {run} --abort ends it without saving artifacts",
        )
    tools.cloud.terminate(machine.region, machine.ids)
    aborted = DetachedError("ended hard: its agent did not react")
    state = RunState.STOPPED
    record_end(tools.store, run, found.attempt, state, "aborted", aborted, latest=latest)
    confirm_gone(tools, machine)
    tools.report.done("terminated", machine.id)
    return attempts.read_end(tools.store, run, found.attempt) or {"state": state}
