"""The life of an attempt as a story: launch, connect, start, follow, finish."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dstack_cloud.cost import Cost
from dstack_cloud.errors import DetachedError, DstackError, NotFoundError
from dstack_cloud.lifecycle.bills import run_cost
from dstack_cloud.lifecycle.connection import connect
from dstack_cloud.lifecycle.ending import error_of, exit_code, record_end
from dstack_cloud.lifecycle.finish import confirm_gone
from dstack_cloud.lifecycle.follow import Following, Watch, follow
from dstack_cloud.lifecycle.join import find, join
from dstack_cloud.lifecycle.launch import Launched, describe, launch
from dstack_cloud.lifecycle.record import RunRecord
from dstack_cloud.lifecycle.recover import reconcile
from dstack_cloud.lifecycle.start import start
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.lifecycle.watching import Progress
from dstack_cloud.resources import Offer
from dstack_cloud.ssh.base import Session
from dstack_cloud.state import attempts
from dstack_cloud.state.runs import RunState
from dstack_cloud.units import format_cost, format_duration, format_size

# A stock image installs Docker and a driver at its first boot; sshd is up long before that, but
# true machines take a minute or two to answer.
_CONNECT_LIMIT_S = 600.0


@dataclass(frozen=True)
class Outcome:
    """How the attempt ended for the caller. ``end`` is None when the caller detached."""

    run: str
    attempt: int
    end: Mapping[str, Any] | None
    exit_code: int
    error: DstackError | None = None
    bill: Cost | None = None


def run_attempt(
    tools: Tools,
    record: RunRecord,
    attempt: int,
    offers: Sequence[Offer],
    secrets: Mapping[str, str],
    detach: bool,
) -> Outcome:
    """Launch a machine, start the job on it and, unless detached, follow it to its end.

    A failure or Ctrl-C before the job has started ends the machine and the run; from then on
    Ctrl-C only detaches.
    """
    begun = time.monotonic()
    launched = launch(tools, record, attempt, offers)
    tools.report.done("launched", describe(launched.machine), time.monotonic() - begun)
    try:
        session, launched = _connect(tools, launched)
        if attempts.read_end(tools.store, record.run, attempt) is not None:
            raise DetachedError(f"{record.run} was stopped while its machine booted")
        tools.report.working("starting", "the agent")
        host_key = start(tools, session, record, attempt, launched, secrets)
    except (DstackError, KeyboardInterrupt) as error:
        _give_up(tools, record.run, attempt, launched, error)
        raise
    target = Following(record.run, attempt, launched.machine, host_key)
    if detach:
        session.close()
        return Outcome(record.run, attempt, None, 0)
    return follow_to_end(tools, target, session, artifacts_url(tools, record.run))


def follow_to_end(
    tools: Tools, target: Following, session: Session | None, artifacts: str, offset: int = 0
) -> Outcome:
    """Follow a started attempt, then confirm that its machine is gone and say what it cost."""
    progress = Progress(tools.report, target.run)
    try:
        end = follow(tools, target, session, offset, Watch(progress.log, progress.status))
    except KeyboardInterrupt:
        progress.close()
        raise DetachedError(
            f"detached; {target.run} goes on",
            f"dstack-cloud attach {target.run} comes back, dstack-cloud stop {target.run} ends it",
        ) from None
    progress.close()
    return conclude(tools, target, end, artifacts)


def conclude(tools: Tools, target: Following, end: Mapping[str, Any], artifacts: str) -> Outcome:
    """Say how it ended, see the machine gone, print the bill."""
    _say_end(tools, end, artifacts)
    tools.report.working("terminating", target.machine.id)
    gone = confirm_gone(tools, target.machine)
    spent = run_cost(tools.store, target.run)
    if gone:
        tools.report.done("terminated", _bill_words(spent))
    else:
        tools.report.warn(
            "terminating",
            f"{target.machine.id} is still there minutes after it should have ended",
            "dstack-cloud gc removes it; look at it in the cloud's console too",
        )
    return Outcome(target.run, target.attempt, end, exit_code(end), error_of(end), spent)


def attach_to(tools: Tools, run: str) -> Outcome:
    """Follow a run from its first byte, from wherever this client is; one that has ended is told.

    Raises NotFoundError when it has no machine yet, MachineLostError, UnreachableError.
    """
    reconcile(tools, run)
    found = find(tools, run)
    if found.target is None:
        if found.end is None:
            raise NotFoundError(f"{run} has no machine yet", "try again in a moment")
        return Outcome(run, found.attempt, found.end, exit_code(found.end), error_of(found.end))
    session = None if found.end else join(tools, found)[0]
    return follow_to_end(tools, found.target, session, artifacts_url(tools, run))


def artifacts_url(tools: Tools, run: str) -> str:
    """Where the run's artifacts are, for people."""
    return f"{tools.store.url.rstrip('/')}/artifacts/{run}"


def _connect(tools: Tools, launched: Launched) -> tuple[Session, Launched]:
    tools.report.working("connecting", launched.machine.address or "waiting for an address")
    begun = time.monotonic()
    session, machine = connect(tools, launched, _CONNECT_LIMIT_S)
    tools.report.done("connected", "host key verified", time.monotonic() - begun)
    return session, Launched(machine, launched.host_key)


def _give_up(
    tools: Tools, run: str, attempt: int, launched: Launched, error: BaseException
) -> None:
    tools.report.working("terminating", launched.machine.id)
    tools.cloud.terminate(launched.machine.region, [launched.machine.id])
    if isinstance(error, DstackError):
        record_end(tools.store, run, attempt, RunState.FAILED, "launch", error)
    else:
        cancelled = DetachedError("cancelled before the job started")
        record_end(tools.store, run, attempt, RunState.STOPPED, "stopped", cancelled)
    gone = confirm_gone(tools, launched.machine)
    if gone:
        tools.report.done("terminated", launched.machine.id)


def _say_end(tools: Tools, end: Mapping[str, Any], artifacts: str) -> None:
    code = end.get("exit_code")
    words = f"exit {code}" if code is not None else str(end["reason"])
    seconds = _seconds(end)
    took = f" after {format_duration(seconds)}" if seconds is not None else ""
    if end["state"] == "done":
        tools.report.done("done", words + took)
    else:
        message = f": {end['message']}" if end.get("message") else ""
        tools.report.warn(str(end["state"]), words + took + message)
    for item in end.get("artifacts") or ():
        if item["stored"]:
            files = "1 file" if item["files"] == 1 else f"{item['files']} files"
            tools.report.done(
                "artifacts",
                f"{item['path']}: {files}, {format_size(item['bytes'])} → "
                f"{artifacts}/{item['path']}",
            )
        else:
            tools.report.warn("artifacts", f"{item['path']} was not stored: {item['error']}")


def _seconds(end: Mapping[str, Any]) -> float | None:
    from dstack_cloud.units import parse_time

    if not end.get("container_started_at"):
        return None
    return (
        parse_time(str(end["ended_at"])) - parse_time(str(end["container_started_at"]))
    ).total_seconds()


def _bill_words(spent: Cost) -> str:
    words = f"cost {format_cost(spent.cost)}, on demand {format_cost(spent.on_demand)}"
    if spent.saving is not None and spent.saving > 0:
        words += f": {spent.saving * 100:.0f} % saved"
    return words
