"""The attempt after one that was interrupted: launched at once, best while the old one saves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from dstack_cloud.errors import DetachedError, TryAgainError
from dstack_cloud.lifecycle.bring_up import Held
from dstack_cloud.lifecycle.ending import record_end
from dstack_cloud.lifecycle.follow import Following
from dstack_cloud.lifecycle.going import Going
from dstack_cloud.lifecycle.launch import describe, launch
from dstack_cloud.lifecycle.report import Silent
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.state import attempts, moves, stops
from dstack_cloud.state.runs import RunState
from dstack_cloud.units import format_time, utc_now

Status = Callable[[Mapping[str, Any]], None]


def launch_next(tools: Tools, going: Going, attempt: int) -> Held:
    """Claim and launch ``attempt``, elsewhere than where machines were lost.

    What another client has claimed is its to launch. A run that somebody asked to stop gets an
    attempt that has ended before it began. Raises what `launch` raises.
    """
    if stops.read_stop(tools.store, going.record.run) is not None:
        stop_between(tools, going.record.run, attempt)
        return Held(attempt, None)
    going.private()  # Raises before there is anything to pay for.
    begun = time.monotonic()
    launched = launch(tools, going.record, attempt, *going.search())
    if launched is not None:
        tools.report.done("launched", describe(launched.machine), time.monotonic() - begun)
    return Held(attempt, launched)


def stop_between(tools: Tools, run: str, attempt: int) -> bool:
    """End a run between two attempts by claiming the next one; False when somebody else has."""
    intent = {"run": run, "attempt": attempt, "regions": [], "at": format_time(utc_now())}
    intent |= {"by": tools.owner, "lease": tools.timers.lease}
    if not attempts.claim_attempt(tools.store, run, attempt, intent):
        return False
    stopped = DetachedError("stopped before the next attempt began")
    record_end(tools.store, run, attempt, RunState.STOPPED, "stopped", stopped)
    return True


class Successor:
    """Watches an attempt for the cloud's notice, and whether its deadline calls for another
    machine, and has the next one ready when it ends."""

    def __init__(self, tools: Tools, going: Going, target: Following) -> None:
        self._tools = tools
        self._going = going
        self._target = target
        self._launch: Future[Held] | None = None
        self._pool = ThreadPoolExecutor(1)

    def watching(self, status: Status) -> Status:
        """A receiver of the agent's status that also acts on a notice in it."""

        def look(news: Mapping[str, Any]) -> None:
            notice = news.get("notice")
            if notice and self._launch is None and self._follows():
                self._tools.report.warn(
                    "interrupted",
                    _noticed(self._target.machine.id, notice),
                    "its work is being saved while another machine is launched",
                )
                self._begin()
            elif not notice and self._launch is None:
                self._move_if_due(news)
            status(news)

        return look

    def after(self, end: Mapping[str, Any]) -> Held | None:
        """The next attempt, once this one has ended with ``end``; None when the run is over."""
        if not end.get("retry"):
            self._call_off(end)
            return None
        if self._launch is None:
            self._going.lose(self._target.machine)
            return launch_next(self._tools, self._going, self._target.attempt + 1)
        held = self._launch.result()
        if held.launched is not None:
            self._tools.report.done("launched", describe(held.launched.machine))
        return held

    def leave(self) -> None:
        """The client goes: what it has launched and nobody will start a job on ends with it."""
        held = self._settled()
        if held is None or held.launched is None:
            return
        self._end(held)
        held.launched.claim.close()
        left = DetachedError("its client left while it was launched")
        record_end(
            self._tools.store,
            self._target.run,
            held.attempt,
            RunState.LOST,
            "launch",
            left,
            retry=True,
        )

    def _follows(self) -> bool:
        return self._going.record.outlives(self._target.attempt, utc_now())

    def _move_if_due(self, news: Mapping[str, Any]) -> None:
        """Where the deadline calls for a machine on demand: ask this one to save its work and end,
        and launch the other meanwhile, as for a notice."""
        in_time = self._going.in_time
        if in_time is None or not self._follows():
            return
        target = self._target
        try:
            why = in_time.move(news, target)
            if why is None:
                return
            moves.request_move(
                self._tools.store, target.run, target.attempt, why=why, by=self._tools.owner
            )
        except TryAgainError:
            return  # The store is out of reach for now: the next look decides again.
        self._tools.report.warn(
            "deadline", f"{why}: on to a machine on demand", "its work is being saved meanwhile"
        )
        self._begin()

    def _begin(self) -> None:
        self._going.lose(self._target.machine)
        quiet = replace(self._tools, report=Silent())
        self._launch = self._pool.submit(launch_next, quiet, self._going, self._target.attempt + 1)

    def _call_off(self, end: Mapping[str, Any]) -> None:
        """The run ended in the time of its notice: its last attempt ends as the run did."""
        held = self._settled()
        if held is None:
            return
        if held.launched is not None:
            held.launched.claim.close()
            self._end(held)
        attempts.record_end(
            self._tools.store, self._target.run, held.attempt, {**end, "reason": "not-needed"}
        )

    def _settled(self) -> Held | None:
        """What the launch came to; None if there was none, or it failed and said so on record."""
        if self._launch is None or self._launch.exception() is not None:
            return None
        return self._launch.result()

    def _end(self, held: Held) -> None:
        assert held.launched is not None
        machine = held.launched.machine
        self._tools.cloud.terminate(machine.region, [machine.id])


def _noticed(machine: str, notice: Mapping[str, Any]) -> str:
    if notice["action"] == "rebalance":
        return f"the cloud warns that it may take {machine} back"
    return f"the cloud takes {machine} back by {notice['by']}"
