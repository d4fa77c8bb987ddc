"""The attempt after one that was interrupted: launched at once, best while the old one saves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dstack_cloud.clouds.base import Machine
from dstack_cloud.errors import DetachedError, TryAgainError
from dstack_cloud.lifecycle.bring_up import Held
from dstack_cloud.lifecycle.ending import record_end
from dstack_cloud.lifecycle.finish import end_stopped
from dstack_cloud.lifecycle.follow import Following
from dstack_cloud.lifecycle.going import Going
from dstack_cloud.lifecycle.launch import Launched, describe, launch
from dstack_cloud.lifecycle.look import Look, look_for_spot
from dstack_cloud.lifecycle.machine_record import machine_from_json
from dstack_cloud.lifecycle.report import Silent
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.resources import Offer
from dstack_cloud.state import attempts, moves, stops
from dstack_cloud.state.runs import RunState
from dstack_cloud.units import format_time, utc_now

if TYPE_CHECKING:
    from dstack_cloud.lifecycle.in_time import InTime

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
    if going.record.container.nodes > 1:
        # The others of a node that was lost have told the attempt's end: it had no part in that.
        recorded = attempts.read_machine(tools.store, going.record.run, attempt - 1)
        if recorded:
            end_stopped(tools, machine_from_json(recorded)[0])
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
    """Watches an attempt for the cloud's notice, and whether its deadline calls for something else
    to run, and has the next one ready when it ends."""

    def __init__(self, tools: Tools, going: Going, target: Following) -> None:
        self._tools = tools
        self._going = going
        self._target = target
        self._launch: Future[Held] | None = None
        self._look: Future[Look] | None = None
        self._plan: Future[Sequence[Offer]] | None = None
        self._pool = ThreadPoolExecutor(1)

    def watching(self, status: Status) -> Status:
        """A receiver of the agent's status that also acts on a notice in it."""

        def look(news: Mapping[str, Any]) -> None:
            notice = news.get("notice")
            self._after_look()
            if self._launch is None and self._look is None:
                if not notice:
                    self._move_if_due(news)
                elif self._follows():
                    self._tools.report.warn(
                        "interrupted",
                        _noticed(self._target.machine, notice),
                        "its work is being saved while another machine is launched",
                    )
                    self._begin()
            status(news)

        return look

    def after(self, end: Mapping[str, Any]) -> Held | None:
        """The next attempt, once this one has ended with ``end``; None when the run is over."""
        if not end.get("retry"):
            self._call_off(end)
            return None
        found = self._look.result().held if self._look is not None else None
        if self._launch is not None:
            found = self._launch.result()
        if found is None:
            self._going.lose(self._target.machine)
            return launch_next(self._tools, self._going, self._target.attempt + 1)
        if found.launched is not None:
            self._tools.report.done("launched", describe(found.launched.machine))
        return found

    def leave(self) -> None:
        """The client goes: what it has launched and nobody will start a job on ends with it."""
        held = self._settled()
        if held is None or held.launched is None:
            return
        self._end(held.launched)
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
        """Where the deadline calls for something else: a spot machine is looked for first, and the
        work goes there if there is one; for a machine on demand, or none, this one is asked to save
        its work and end, and the search begins meanwhile, as for a notice."""
        in_time, target = self._going.in_time, self._target
        if in_time is None or not self._follows() or not self._planned(in_time):
            return
        try:
            choice = in_time.move(news, target)
            if choice is None:
                return
            if choice.kind == "spot":
                self._look = self._pool.submit(
                    look_for_spot,
                    replace(self._tools, report=Silent()),
                    self._going,
                    target,
                    in_time.worth_a_look(),
                    choice.why,
                )
                return
            moves.request_move(
                self._tools.store, target.run, target.attempt, why=choice.why, by=self._tools.owner
            )
        except TryAgainError:
            return  # The store is out of reach for now: the next look decides again.
        words = "on to a machine on demand" if choice.kind == "on-demand" else "spot is waited for"
        self._tools.report.warn(
            "deadline", f"{choice.why}: {words}", "its work is being saved meanwhile"
        )
        self._begin()

    def _planned(self, in_time: InTime) -> bool:
        """Whether it is known what else there is, which matters beside a machine on demand. A
        client that has not searched itself makes a plan; all make one anew now and then."""
        if self._target.machine.spot or not in_time.needs_offers():
            return True
        if self._plan is None:
            self._plan = self._pool.submit(self._going.plan, self._going.record)
        if self._plan.done():
            # One that fails is made again later: the machine that works goes on meanwhile.
            in_time.know(self._plan.result() if self._plan.exception() is None else None)
            self._plan = None
        return not in_time.needs_offers()

    def _after_look(self) -> None:
        """A look for spot that has come to its end: the run moves, or goes on as before."""
        if self._look is None or not self._look.done() or self._going.in_time is None:
            return
        look = self._look.result()
        if look.held is None:
            self._going.in_time.refused(look.asked, look.failures)
            self._look = None
        elif self._target.machine not in self._going.lost:
            self._going.lose(self._target.machine)
            launched = look.held.launched
            words = describe(launched.machine) if launched else "launched by another client"
            self._tools.report.warn(
                "deadline", f"back to spot: {words}", "its work is being saved meanwhile"
            )

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
            self._end(held.launched)
        attempts.record_end(
            self._tools.store, self._target.run, held.attempt, {**end, "reason": "not-needed"}
        )

    def _settled(self) -> Held | None:
        """What the launch came to; None if there was none, or it failed and said so on record."""
        if self._look is not None:
            return self._look.result().held
        if self._launch is None or self._launch.exception() is not None:
            return None
        return self._launch.result()

    def _end(self, launched: Launched) -> None:
        launched.claim.close()
        self._tools.cloud.terminate(launched.machine.region, launched.machine.ids)


def _noticed(machine: Machine, notice: Mapping[str, Any]) -> str:
    name = machine.ids[int(notice.get("node") or 0)]
    if notice["action"] == "rebalance":
        return f"the cloud warns that it may take {name} back"
    return f"the cloud takes {name} back by {notice['by']}"
