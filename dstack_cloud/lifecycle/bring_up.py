"""From a launched machine to a job that runs on it; from another client's, to its machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dstack_cloud.errors import DetachedError, DstackError, MachineLostError, TryAgainError
from dstack_cloud.lifecycle.claim import Lapse
from dstack_cloud.lifecycle.connection import CONNECT_SHARE, connect
from dstack_cloud.lifecycle.ending import record_end
from dstack_cloud.lifecycle.fellows import start_fellows
from dstack_cloud.lifecycle.finish import confirm_gone
from dstack_cloud.lifecycle.follow import Following
from dstack_cloud.lifecycle.going import Going
from dstack_cloud.lifecycle.join import find, join_if_possible
from dstack_cloud.lifecycle.launch import Launched
from dstack_cloud.lifecycle.record import RunRecord
from dstack_cloud.lifecycle.recover import reconcile
from dstack_cloud.lifecycle.start import start
from dstack_cloud.lifecycle.takeover import take_over_launch
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.ssh.base import Session
from dstack_cloud.state import attempts
from dstack_cloud.state.runs import RunState

_POLL_S = 1.0


@dataclass(frozen=True)
class Held:
    """An attempt that has been claimed: by us, with what was launched, or by another client."""

    attempt: int
    launched: Launched | None


def bring_up(tools: Tools, going: Going, held: Held) -> tuple[Following, Session | None] | None:
    """Connect and start the job; None when the attempt has ended before it got that far.

    A failure or Ctrl-C before the job has started ends the machine and, where it was the first
    attempt's, the run. Raises MachineLostError for a machine that is gone, and no end recorded.
    """
    if held.launched is None:
        return _others(tools, going.record, held.attempt)
    run, launched = going.record.run, held.launched
    try:
        if held.attempt > 1 and attempts.read_end(tools.store, run, held.attempt) is not None:
            # Called off while the cloud was asked: not worth a boot.
            _end_machine(tools, launched)
            return None
        session, launched = _connect(tools, launched)
        if attempts.read_end(tools.store, run, held.attempt) is not None:
            session.close()
            _end_machine(tools, launched)
            return None
        tools.report.working("starting", "the agent")
        others: tuple[Following, ...] = ()
        if launched.machine.fellows:
            launched, others = start_fellows(tools, going, held.attempt, launched)
        host_key = start(tools, session, going.record, held.attempt, launched, going.private())
    except MachineLostError:
        raise
    except (DstackError, KeyboardInterrupt) as error:
        give_up(tools, run, held.attempt, launched, error)
        raise
    finally:
        launched.claim.close()
    return Following(run, held.attempt, launched.machine, host_key, others=others), session


def give_up(tools: Tools, run: str, attempt: int, launched: Launched, error: BaseException) -> None:
    """End a machine that no job has reached, and put the attempt's end on record."""
    later = attempt > 1
    if isinstance(error, DstackError):
        retry = later and isinstance(error, TryAgainError)
        record_end(tools.store, run, attempt, RunState.FAILED, "launch", error, retry=retry)
    else:
        cancelled = DetachedError("cancelled before the job started")
        state = RunState.LOST if later else RunState.STOPPED
        record_end(tools.store, run, attempt, state, "stopped", cancelled, retry=later)
    _end_machine(tools, launched)


def _end_machine(tools: Tools, launched: Launched) -> None:
    names = ", ".join(launched.machine.ids)
    tools.report.working("terminating", names)
    tools.cloud.terminate(launched.machine.region, launched.machine.ids)
    if confirm_gone(tools, launched.machine):
        tools.report.done("terminated", names)


def _connect(tools: Tools, launched: Launched) -> tuple[Session, Launched]:
    tools.report.working("connecting", launched.machine.address or "waiting for an address")
    begun = time.monotonic()
    session, machine = connect(tools, launched, CONNECT_SHARE * tools.timers.no_job)
    own = tools.reach.home(machine).own_machine
    detail = "host key verified" if own else "to this machine"
    tools.report.done("connected", detail, time.monotonic() - begun)
    return session, replace(launched, machine=machine)


def _others(
    tools: Tools, record: RunRecord, attempt: int
) -> tuple[Following, Session | None] | None:
    """The machine that another client launches, once an agent works on it; None when the attempt
    has ended: the other client's lease may lapse, and then the end is ours to write."""
    run, lapse = record.run, Lapse()
    tools.report.working("waiting", f"another client launches attempt {attempt}")
    while True:
        found = find(tools, run)
        if found.attempt != attempt or found.end is not None:
            return None
        if found.target is not None and _begun(tools, run, attempt):
            return found.target, join_if_possible(tools, found)
        if take_over_launch(tools, record, attempt, lapse):
            return None
        reconcile(tools, run)
        time.sleep(_POLL_S)


def _begun(tools: Tools, run: str, attempt: int) -> bool:
    """Whether an agent works for the attempt, as far as its launcher can be trusted to say."""
    if attempts.read_status(tools.store, run, attempt) is not None:
        return True
    intent = attempts.read_intent(tools.store, run, attempt) or {}
    return "lease" not in intent  # Of an earlier version: its machine is all that is told.


def end_of(tools: Tools, run: str, attempt: int) -> Mapping[str, Any]:
    """The end that is on record of an attempt. Raises MachineLostError when there is none."""
    end = attempts.read_end(tools.store, run, attempt)
    if end is None:
        raise MachineLostError(f"attempt {attempt} of {run} has ended without a word")
    return end
