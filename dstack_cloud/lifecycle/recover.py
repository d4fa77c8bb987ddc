"""Bringing the index of a live run in line with what is true. Any client may do it, any time."""

from __future__ import annotations

from datetime import timedelta

from dstack_cloud.clouds.base import Machine
from dstack_cloud.errors import MachineLostError
from dstack_cloud.lifecycle.ending import record_end
from dstack_cloud.lifecycle.machine_record import machine_from_json
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.lifecycle.verdict import Facts, Verdict, verdict
from dstack_cloud.state import attempts
from dstack_cloud.state.runs import RunState, read_run, settle
from dstack_cloud.units import parse_time, utc_now


def reconcile(tools: Tools, run: str) -> Verdict:
    """Read what is on record of the run and of its machine; mend the index where it is behind."""
    record = read_run(tools.store, run)
    attempt = attempts.latest_attempt(tools.store, run)
    intent = attempts.read_intent(tools.store, run, attempt) if attempt else None
    end = attempts.read_end(tools.store, run, attempt) if attempt else None
    recorded = attempts.read_machine(tools.store, run, attempt) if attempt else None
    machine = machine_of(tools, run, attempt) if attempt and not end else None
    facts = Facts(
        submitted_at=parse_time(str(record["submitted_at"])),
        intent_at=parse_time(str(intent["at"])) if intent else None,
        launched_at=machine_from_json(recorded)[0].launched_at if recorded else None,
        machine=machine.state if machine else None,
        end=RunState(end["state"]) if end else None,
        launch_time=timedelta(seconds=tools.timers.no_job),
    )
    found, reason = verdict(facts, utc_now())
    if found is Verdict.ENDED and facts.end is not None:
        settle(tools.store, run, facts.end)
    elif found is Verdict.LOST:
        error = MachineLostError(f"{run} is lost: {reason}", f"dstack-cloud logs {run}")
        record_end(tools.store, run, attempt or 1, RunState.LOST, "machine-lost", error)
    return found


def machine_of(tools: Tools, run: str, attempt: int) -> Machine | None:
    """The attempt's machine as the cloud knows it: by its record, else by its tags."""
    recorded = attempts.read_machine(tools.store, run, attempt)
    if recorded:
        machine, _ = machine_from_json(recorded)
        return tools.cloud.machine(machine.region, machine.id)
    intent = attempts.read_intent(tools.store, run, attempt)
    for region in intent["regions"] if intent else ():
        for machine in tools.cloud.machines(region, run):
            if machine.attempt == attempt:
                return machine
    return None
