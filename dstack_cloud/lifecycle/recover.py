"""Bringing the index of a live run in line with what is true. Any client may do it, any time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from dstack_cloud import retry
from dstack_cloud.clouds.base import Machine, MachineState
from dstack_cloud.clouds.pace import known_within
from dstack_cloud.config import Timers
from dstack_cloud.errors import MachineLostError
from dstack_cloud.lifecycle.ending import record_end
from dstack_cloud.lifecycle.finish import end_stopped
from dstack_cloud.lifecycle.machine_record import machine_from_json
from dstack_cloud.lifecycle.own_clock import by_own_clock
from dstack_cloud.lifecycle.record import RunRecord, record_from_json
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.lifecycle.verdict import Facts, Verdict, verdict
from dstack_cloud.state import ages, attempts, keys
from dstack_cloud.state.runs import RunState, read_run, settle
from dstack_cloud.storage.base import Store
from dstack_cloud.units import parse_time, utc_now

# A store may tell the time of a write in whole seconds.
_ROUNDED_S = 2.0
_ALIVE = (MachineState.STARTING, MachineState.RUNNING)


def reconcile(tools: Tools, run: str) -> Verdict:
    """Read what is on record of the run and of its machines; mend the index where it is behind.

    Attempts that were under notice when the next one was claimed are looked after, too: it waits
    for their ends.
    """
    record = record_from_json(read_run(tools.store, run))
    attempt = attempts.latest_attempt(tools.store, run)
    for earlier in attempts.unended(tools.store, run, attempt):
        tell_if_lost(tools, record, earlier)
    return tell_if_lost(tools, record, attempt, latest=True)


def tell_if_lost(tools: Tools, record: RunRecord, attempt: int, latest: bool = False) -> Verdict:
    """Write the end of an attempt whose machine can't any more; ``latest``: mend the index, too.

    ``attempt`` 0 is a run that has none. An attempt that had reached its machine, or that
    followed another one, is an interruption to the run, which may go on after it.
    """
    run, store = record.run, tools.store
    submitted_at, now = parse_time(record.submitted_at), utc_now()
    end = attempts.read_end(store, run, attempt) if attempt else None
    if end and not latest:
        return Verdict.AS_IS
    intent = attempts.read_intent(store, run, attempt) if attempt else None
    recorded = attempts.read_machine(store, run, attempt) if attempt else None
    machine = machine_of(tools, run, attempt) if attempt and not end else None
    facts = Facts(
        submitted_at=submitted_at,
        intent_at=parse_time(str(intent["at"])) if intent else None,
        launched_at=machine_from_json(recorded)[0].launched_at if recorded else None,
        machine=machine.state if machine else None,
        end=RunState(end["state"]) if end else None,
        launch_time=timedelta(seconds=tools.timers.no_job + _patience(intent)),
        known_within=known_within(tools.cloud.name),
        awaited=end is not None and not _given_up(store, record, end, now),
    )
    found, reason = verdict(facts, now)
    if (
        found is Verdict.LOST
        and machine is None
        and not recorded
        and _of_late(store, run, attempt, facts)
    ):
        return Verdict.AS_IS
    if found is Verdict.ENDED and facts.end is not None:
        settle(store, run, facts.end)
    elif found is Verdict.LOST:
        if machine is not None and (machine.fellows or machine.state is MachineState.STOPPED):
            end_stopped(tools, machine)
        number = attempt or 1
        begun = number > 1 or attempts.read_status(store, run, number) is not None
        goes_on = begun and by_own_clock(store, record).outlives(number, now)
        error = MachineLostError(
            f"attempt {number} is lost: {reason}",
            "what reached the store before is kept: dstack-cloud logs, dstack-cloud artifacts list",
        )
        goes_on = goes_on or not latest
        lost = RunState.LOST
        went = off_the_bill(
            facts.launched_at,
            machine.ended_at if machine else None,
            attempts.read_status(store, run, number) if recorded else None,
            tools.timers,
            now,
        )
        record_end(
            store,
            run,
            number,
            lost,
            "machine-lost",
            error,
            retry=goes_on,
            latest=latest,
            machine_ended_at=went,
        )
    return found


def _given_up(store: Store, record: RunRecord, end: Mapping[str, Any], now: datetime) -> bool:
    """Whether no attempt may follow this end any more."""
    if not end.get("retry"):
        return True
    record = by_own_clock(store, record)
    submitted_at, ended_at = parse_time(record.submitted_at), parse_time(str(end["ended_at"]))
    return retry.given_up(record.retry, end, submitted_at, ended_at, now)


def off_the_bill(
    launched_at: datetime | None,
    told: datetime | None,
    status: Mapping[str, Any] | None,
    timers: Timers,
    now: datetime,
) -> datetime | None:
    """When a machine that ended without a word went off the bill; None without a machine. Pure.

    As the cloud tells it, else an estimate that is rather late: the agent's last word and the time
    in which another one was due, or the launch and the time in which a job was.
    """
    if launched_at is None:
        return None
    if told is None and status is not None:
        told = parse_time(str(status["updated_at"])) + timedelta(seconds=timers.heartbeat)
    elif told is None:
        told = launched_at + timedelta(seconds=timers.no_job)
    return min(max(told, launched_at), now)


def _of_late(store: Store, run: str, attempt: int, facts: Facts) -> bool:
    """Whether whoever launches gave a sign more recently than our clock would have it: the clock
    may be off, or theirs."""
    signs = [keys.intent(run, attempt), keys.lease(run, attempt)] if attempt else [keys.run(run)]
    seconds = ages.age(store, run, signs)
    return seconds is not None and seconds < facts.launch_time.total_seconds() - _ROUNDED_S


def _patience(intent: Mapping[str, Any] | None) -> float:
    """How many seconds an attempt's client may look for a machine where none is to be had."""
    return float((intent or {}).get("patience") or 0)


def machine_of(tools: Tools, run: str, attempt: int) -> Machine | None:
    """The attempt's machine as the cloud knows it: by its record, else by its tags."""
    recorded = attempts.read_machine(tools.store, run, attempt)
    if recorded:
        machine, _ = machine_from_json(recorded)
        now = tools.cloud.machine(machine.region, machine.id)
        return None if now is None else machine.seen(now)
    intent = attempts.read_intent(tools.store, run, attempt)
    found = [
        machine
        for region in (intent["regions"] if intent else ())
        for machine in tools.cloud.machines(region, run)
        if machine.attempt == attempt
    ]
    # Of two regions that were asked at once one machine came too late, and has been ended.
    first = min(found, key=lambda machine: machine.state not in _ALIVE, default=None)
    if first is None:
        return None
    return replace(first, fellows=tuple(one for one in found if one.id != first.id))
