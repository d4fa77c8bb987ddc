"""The choices of the policy in plain cases, and that it is a pure function."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dstack_cloud.availability import Seen
from dstack_cloud.deadline import State, decide

HOUR = 3600.0


def state(up: str = "", *, hours_left: float = 10, work: float = 8, zones: str = "ab") -> State:
    """Nothing runs; the job has begun just now; ``up`` and ``zones``: a letter each."""
    prices = dict.fromkeys(zones, 0.3)
    seen = Seen.nothing(hours_left * HOUR, 360, 60).after(0, set(up), prices, None)
    return State(
        *(0.0, hours_left * HOUR, work * HOUR, 60.0, 360.0, 1.0, prices, set(up), seen),
    )


def looked(now: State, looks: list[tuple[float, str]]) -> State:
    """Later, after these looks: (hours, zones up)."""
    seen = now.seen
    for hours, up in looks:
        seen = seen.after(hours * HOUR, set(up), now.prices, None)
    hours, up = looks[-1]
    return replace(now, elapsed=hours * HOUR, up=set(up), seen=seen)


def test_spot_is_taken_when_there_is_time() -> None:
    assert (decide(state("b")).kind, decide(state("b")).zone) == ("spot", "b")


def test_without_slack_it_is_on_demand() -> None:
    assert decide(state("ab", hours_left=8.1)).kind == "on-demand"
    assert decide(state(hours_left=8.1)).kind == "on-demand"
    assert decide(state("ab", hours_left=7)).kind == "on-demand"


def test_waiting_needs_an_interval_of_slack() -> None:
    now = state(hours_left=100)
    assert decide(now).kind == "wait"
    assert decide(replace(now, interval=93 * HOUR)).kind == "on-demand"


def test_running_spot_is_kept_and_work_that_is_done_ends() -> None:
    now = replace(state("ab"), running="spot", zone="b")
    assert decide(now).zone == "b"
    assert decide(replace(now, work_left=0)).kind == "wait"


def test_a_zone_that_lasts_is_preferred_to_one_that_does_not() -> None:
    looks = [(0.25 * k, "ab" if k % 2 else "a") for k in range(1, 20)]
    assert decide(looked(state("a", hours_left=30), looks)).zone == "a"


def test_a_cheaper_zone_is_preferred() -> None:
    now = state("ab")
    prices = {"a": 0.4, "b": 0.2}
    seen = Seen.nothing(10 * HOUR, 360, 60).after(0, {"a", "b"}, prices, None)
    assert decide(replace(now, prices=prices, seen=seen)).zone == "b"


def test_spot_that_was_away_long_is_waited_for_less() -> None:
    """The same hour, slack and work; only what was seen differs."""
    now = replace(state(hours_left=13, zones="a"), work_left=8 * HOUR)
    gone = looked(now, [(4.0, "")])
    brief = looked(
        now, [(0.05, "a"), (0.9, ""), (1.0, "a"), (2.0, ""), (2.1, "a"), (3.98, ""), (4, "")]
    )
    assert decide(brief).kind == "wait"
    assert decide(gone).kind == "on-demand"


def visited(stay: float, *, price: float = 0.3, hours_left: float = 24) -> State:
    """Spot, back now, was there eight times so far, for ``stay`` minutes after half an hour."""
    now = state(hours_left=hours_left, zones="a")
    looks, hours = [], 0.0
    for _ in range(8):
        looks += [(hours + 0.5, "a"), (hours + 0.5 + stay / 60, "")]
        hours += 0.5 + stay / 60
    return looked(replace(now, prices={"a": price}), [*looks, (hours + 0.5, "a")])


def test_on_demand_is_not_left_for_spot_that_goes_before_it_works() -> None:
    """A start takes six minutes."""
    assert decide(replace(visited(3), running="on-demand")).kind == "on-demand"
    assert decide(replace(visited(60), running="on-demand")).kind == "spot"


def test_where_nothing_runs_spot_is_tried_whatever_was_seen() -> None:
    brief = visited(3, price=0.8)
    assert decide(brief).kind == "spot"
    # Less slack than a start and the time to the next decision: no time for another try.
    tight = brief.deadline - brief.elapsed - 2 * brief.restart - brief.interval / 2
    assert decide(replace(brief, work_left=tight)).kind == "on-demand"


def test_on_demand_without_capacity_gives_way_to_spot() -> None:
    now = state("b", hours_left=8.1)
    assert decide(replace(now, on_demand_up=False)).zone == "b"
    assert decide(replace(state(hours_left=8.1), on_demand_up=False)).kind == "wait"


def test_no_zone_at_all_is_not_waited_for() -> None:
    assert decide(state(zones="")).kind == "on-demand"


@pytest.mark.parametrize("up", ["", "a", "ab"])
def test_the_same_state_gets_the_same_answer(up: str) -> None:
    now = looked(state(), [(1, "a"), (2, ""), (2.5, "ab"), (3, up)])
    assert decide(now) == decide(replace(now, seen=replace(now.seen)))
