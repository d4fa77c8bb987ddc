"""No deadline is missed, whatever the zones do; the module's docstring proves it, this tries."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from replay.rules import Job, greedy, lower_bound, replay, uniform_progress

from dstack_cloud.availability import Seen
from dstack_cloud.deadline import Choice, State, decide

# Gaps below, at and beyond the restart, and such as do not divide it.
GAPS = st.sampled_from([34.0, 180.0, 300.0, 600.0, 1000.0, 3600.0])
RATIOS = st.sampled_from([1.0, 1.02, 1.1, 1.25, 2.0])
# Runs of availability: from another answer at every tick to hours of the same.
TRACES = st.lists(st.tuples(st.booleans(), st.integers(1, 40)), min_size=1, max_size=30)


def _trace(runs: list[tuple[bool, int]], ticks: int) -> list[bool]:
    once = [up for up, length in runs for _ in range(length)]
    return (once * (ticks // len(once) + 1))[:ticks]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(TRACES, min_size=1, max_size=3),
    GAPS,
    RATIOS,
    st.sampled_from([0.02, 0.1, 0.5]),
    st.floats(0.5, 4),
)
def test_no_trace_makes_it_late(
    runs: list[list[tuple[bool, int]]], gap: float, ratio: float, restart: float, work: float
) -> None:
    job = Job(work, work * ratio + restart, restart, 0.3)
    ticks = math.ceil(job.deadline * 3600 / gap) + 1
    zones = [_trace(one, ticks) for one in runs]
    result = replay(job, decide, zones, gap)
    assert not result.missed
    assert result.cost >= lower_bound(job, zones, gap) - 1e-6
    assert not replay(job, greedy, zones, gap).missed


@settings(max_examples=40, deadline=None)
@given(GAPS, RATIOS, st.floats(0.5, 4), st.integers(1, 3))
def test_an_adversary_that_takes_spot_when_it_is_used_cannot_make_it_late(
    gap: float, ratio: float, work: float, patience: int
) -> None:
    """Spot is up until it was used for ``patience`` ticks, and then away until something else was
    chosen."""
    restart, deadline = 360.0, work * 3600 * ratio + 360.0
    left, elapsed, starting, used = work * 3600, 0.0, 0.0, 0
    running = Choice("wait")
    seen = Seen.nothing(deadline, restart, gap)
    while elapsed < deadline - 1e-6 and left > 1e-6:
        up = {"a"} if used < patience else set()
        used = used if up else 0
        if running.kind == "spot" and not up:
            running, starting = Choice("wait"), 0.0
        zone = running.zone
        seen = seen.after(elapsed, up, {"a": 0.3}, zone)
        choice = decide(
            State(
                *(elapsed, deadline, left, gap, restart, 1.0, {"a": 0.3}, up, seen),
                running=running.kind,
                zone=zone,
                restart_left=starting,
            )
        )
        if (choice.kind, choice.zone) != (running.kind, running.zone):
            running, starting = choice, restart
        used += choice.kind == "spot"
        ran = min(gap, deadline - elapsed) if choice.kind != "wait" else 0.0
        left -= max(0.0, ran - starting)
        starting = max(0.0, starting - ran)
        elapsed += gap
    assert left <= 1e-6


@settings(max_examples=30, deadline=None)
@given(TRACES, st.lists(st.floats(1, 1800), min_size=5, max_size=5), st.floats(0.5, 3))
def test_decisions_at_irregular_moments_are_in_time_too(
    runs: list[tuple[bool, int]], steps: list[float], work: float
) -> None:
    """``interval`` is only the longest step; availability changes between decisions."""
    restart, deadline = 300.0, work * 3600 * 1.3 + 300.0
    trace = _trace(runs, int(deadline / 60) + 60)
    left, elapsed, starting, turn = work * 3600, 0.0, 0.0, 0
    running = Choice("wait")
    seen = Seen.nothing(deadline, restart, max(steps))
    while elapsed < deadline - 1e-6 and left > 1e-6:
        minute = int(elapsed / 60)
        up = {"a"} if trace[minute] else set()
        if running.kind == "spot" and not up:
            running, starting = Choice("wait"), 0.0
        seen = seen.after(elapsed, up, {"a": 0.3}, running.zone)
        choice = decide(
            State(
                *(elapsed, deadline, left, max(steps), restart, 1.0, {"a": 0.3}, up, seen),
                running=running.kind,
                zone=running.zone,
                restart_left=starting,
            )
        )
        if (choice.kind, choice.zone) != (running.kind, running.zone):
            running, starting = choice, restart
        step = min(steps[turn % 5], deadline - elapsed)
        if running.kind == "spot":  # the loss of a machine is a decision by itself
            gone = next((m for m in range(minute, len(trace)) if not trace[m]), len(trace))
            step = min(step, max(1e-3, gone * 60 - elapsed))
        ran = step if running.kind != "wait" else 0.0
        left -= max(0.0, ran - starting)
        starting = max(0.0, starting - ran)
        elapsed, turn = elapsed + step, turn + 1
    assert left <= 1e-6


def test_uniform_progress_keeps_deadlines_as_well() -> None:
    job = Job(4, 5, 0.1, 0.3)
    flapping = [tick % 2 == 0 for tick in range(100)]
    for gap in (300.0, 600.0):
        result = replay(job, lambda now: uniform_progress(4 * 3600, now), [flapping], gap)
        assert not result.missed
