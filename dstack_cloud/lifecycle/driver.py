"""The life of a run as a story: launch, bring up, follow, launch again if interrupted, conclude."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

from dstack_cloud.errors import (
    AccessError,
    DetachedError,
    DstackError,
    MachineLostError,
    NotFoundError,
    TryAgainError,
)
from dstack_cloud.lifecycle.again import Successor, launch_next
from dstack_cloud.lifecycle.bring_up import Held, bring_up, end_of
from dstack_cloud.lifecycle.conclude import Outcome, conclude, say_end
from dstack_cloud.lifecycle.earlier import await_earlier
from dstack_cloud.lifecycle.ending import record_end
from dstack_cloud.lifecycle.fellows import Fellows
from dstack_cloud.lifecycle.follow import Following, Watch, follow
from dstack_cloud.lifecycle.going import Going
from dstack_cloud.lifecycle.join import find
from dstack_cloud.lifecycle.lasted import note_lasted
from dstack_cloud.lifecycle.launch import describe, launch
from dstack_cloud.lifecycle.named import merged_attempt
from dstack_cloud.lifecycle.ports import ports_of
from dstack_cloud.lifecycle.recover import reconcile
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.lifecycle.verdict import Verdict
from dstack_cloud.lifecycle.watching import Progress
from dstack_cloud.ssh.base import Session
from dstack_cloud.state import logs
from dstack_cloud.state.runs import RunState
from dstack_cloud.units import utc_now


def run(tools: Tools, going: Going, detach: bool) -> Outcome:
    """Launch a machine, start the job on it and, unless detached, see the run to its end.

    A failure or Ctrl-C before the job has started ends the machine and the run; from then on
    Ctrl-C only detaches.
    """
    begun = time.monotonic()
    with _late_ones_ended(tools):
        launched = launch(tools, going.record, 1, *going.search())
        if launched is not None:
            tools.report.done("launched", describe(launched.machine), time.monotonic() - begun)
        return _see_through(tools, going, Held(1, launched), detach)


def attach(tools: Tools, going: Going) -> Outcome:
    """Follow a run from its first byte, from wherever this client is, and go on with it where it
    was interrupted; one that has ended is told.

    Raises MachineLostError, UnreachableError, and what a launch raises.
    """
    with _late_ones_ended(tools):
        return _go_on(tools, going)


def _go_on(tools: Tools, going: Going) -> Outcome:
    name = going.record.run
    over = reconcile(tools, name) is Verdict.ENDED
    found = find(tools, name)
    if found.attempt == 0 and found.end is None:
        raise NotFoundError(f"{name} has no machine yet", "try again in a moment")
    _print_stored(tools, going, found.attempt if found.end else found.attempt - 1)
    machine = found.target.machine if found.target else None
    if found.end is None:
        return _see_through(tools, going, Held(found.attempt, None))
    if over or not found.end.get("retry"):
        # One that waited for too long is given up: the time for another attempt is over.
        return conclude(tools, name, found.attempt, machine, found.end)
    say_end(tools, name, found.end)
    if machine is not None:
        going.lose(machine)
    return _see_through(tools, going, launch_next(tools, going, found.attempt + 1))


@contextlib.contextmanager
def _late_ones_ended(tools: Tools) -> Iterator[None]:
    """See to it that no machine is left that came after another one had won."""
    try:
        yield
    finally:
        for thread in tools.late:
            thread.join()


def _see_through(tools: Tools, going: Going, held: Held, detach: bool = False) -> Outcome:
    """From a claimed attempt to the run's end, over as many attempts as it takes."""
    name = going.record.run
    while True:
        try:
            reached = bring_up(tools, going, held)
        except MachineLostError as error:
            held = _after_loss(tools, going, held, error)
            continue
        if detach and reached is not None:
            if reached[1] is not None:
                reached[1].close()
            return Outcome(name, held.attempt, None, 0)
        if reached is None:
            end = end_of(tools, name, held.attempt)
            # Another client's may have begun and ended between two looks.
            _print_attempt(tools, going, held.attempt)
            if not end.get("retry"):
                return conclude(tools, name, held.attempt, None, end)
            held = launch_next(tools, going, held.attempt + 1)
            continue
        target, session = reached
        end, successor = _follow(tools, going, target, session)
        note_lasted(tools, target.machine, name, target.attempt, end)
        if end.get("retry"):
            say_end(tools, name, end)
        following = successor.after(end)
        if following is None:
            return conclude(tools, name, target.attempt, target.machine, end)
        held = following


def _follow(
    tools: Tools, going: Going, target: Following, session: Session | None
) -> tuple[Mapping[str, Any], Successor]:
    progress = Progress(tools.report, target.run, len(target.machine.nodes))
    successor = Successor(tools, going, target)
    ports = ports_of(tools, going.record, target)

    def status(news: Mapping[str, Any]) -> None:
        progress.status(news)
        ports.status(news)

    watch = Watch(progress.log, successor.watching(status), ports.reached)
    fellows = Fellows(tools, target, progress.log)
    try:
        await_earlier(tools, target.run, target.attempt)
        end = follow(tools, target, session, 0, watch)
        fellows.finish()
    except KeyboardInterrupt:
        fellows.leave()
        progress.close()
        successor.leave()
        raise DetachedError(
            f"{target.run} goes on",
            f"dstack-cloud attach {target.run} comes back, dstack-cloud stop {target.run} ends it",
        ) from None
    except (AccessError, TryAgainError) as error:
        progress.close()
        with contextlib.suppress(DstackError):
            successor.leave()
        raise _left_alone(target.run, error) from error
    finally:
        fellows.leave()
        ports.close()
    progress.close()
    return end, successor


def _left_alone(run: str, error: DstackError) -> DstackError:
    """The client can no longer follow (its sign-in has expired, say); the machine goes on."""
    return type(error)(
        f"{run} goes on, but cannot be followed from here: {error.message}",
        f"{error.hint}; then dstack-cloud attach {run} comes back, dstack-cloud stop {run} ends it"
        if error.hint
        else f"dstack-cloud attach {run} comes back, dstack-cloud stop {run} ends it",
    )


def _after_loss(tools: Tools, going: Going, held: Held, error: MachineLostError) -> Held:
    """A machine that ended before its job was followed: on to the next, or the run is lost."""
    record = going.record
    goes_on = record.outlives(held.attempt, utc_now())
    lost = RunState.LOST
    record_end(tools.store, record.run, held.attempt, lost, "machine-lost", error, retry=goes_on)
    if held.launched is not None and held.launched.machine.fellows:
        # The others have no job that could end them, or none that is of use.
        tools.cloud.terminate(held.launched.machine.region, held.launched.machine.ids)
    if not goes_on:
        raise error
    tools.report.warn("interrupted", error.message, "another machine is launched")
    if held.launched is not None:
        going.lose(held.launched.machine)
    return launch_next(tools, going, held.attempt + 1)


def _print_attempt(tools: Tools, going: Going, attempt: int) -> None:
    """The output of an attempt that has ended, if it made any."""
    name, nodes = going.record.run, going.record.container.nodes
    progress = Progress(tools.report, name)
    if nodes > 1:
        for line in merged_attempt(tools.store, name, attempt, nodes):
            progress.lines(line)
    else:
        for chunk in logs.read_attempt(tools.store, name, attempt, 0):
            progress.log(chunk.data)
    progress.close()


def _print_stored(tools: Tools, going: Going, last: int) -> None:
    """The output of the attempts up to ``last``, from the store."""
    name = going.record.run
    if going.record.container.nodes > 1:
        for attempt in range(1, last + 1):
            _print_attempt(tools, going, attempt)
        return
    number, progress = 0, Progress(tools.report, name)
    for chunk in logs.read_log(tools.store, name) if last else ():
        if chunk.attempt > last:
            break
        if chunk.attempt != number:
            progress.close()
            number, progress = chunk.attempt, Progress(tools.report, name)
        progress.log(chunk.data)
    progress.close()
