"""How much work a run has left, and what a machine takes until it works."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from dstack_cloud.lifecycle.pace import (
    Stretch,
    Terms,
    restart_time,
    stretch_of,
    work_left,
)
from dstack_cloud.units import format_time, parse_time

TERMS = Terms(deadline=36 * 3600, duration=20 * 3600, restart=360)
HOUR = 3600.0
BEGUN = parse_time("2026-01-31T09:00:00Z")


def at(seconds: float) -> str:
    return format_time(BEGUN + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("stretches", "now", "hours"),
    [
        ([], 0, 20),
        ([Stretch(launched=0)], HOUR, 20),
        # By the clock: the time that containers ran, in all attempts.
        ([Stretch(0, 0)], 3 * HOUR, 17),
        ([Stretch(0, 0, 3 * HOUR), Stretch(4 * HOUR, 5 * HOUR)], 7 * HOUR, 15),
        # By the container's word, and by the clock since.
        ([Stretch(0, 0, None, 10 * HOUR, 2 * HOUR)], 2 * HOUR, 10),
        ([Stretch(0, 0, None, 10 * HOUR, 2 * HOUR)], 3 * HOUR, 9),
        ([Stretch(0, 0, 4 * HOUR, 10 * HOUR, 2 * HOUR)], 9 * HOUR, 8),
        # Another attempt's word counts from its own start on.
        ([Stretch(0, 0, HOUR, 30 * HOUR, HOUR), Stretch(HOUR, 2 * HOUR)], 3 * HOUR, 29),
    ],
)
def test_work_left(stretches: list[Stretch], now: float, hours: float) -> None:
    assert work_left(TERMS, stretches, now) == hours * HOUR


def test_what_has_not_ended_has_work_left() -> None:
    assert work_left(TERMS, [Stretch(0, 0)], 30 * HOUR) == TERMS.interval
    assert work_left(TERMS, [Stretch(0, 0, None, 0.0, HOUR)], HOUR) == TERMS.interval


def test_a_start_takes_what_the_slowest_took_and_not_less_than_assumed() -> None:
    assert restart_time(TERMS, []) == 360
    assert restart_time(TERMS, [Stretch(0, 90), Stretch(launched=7)]) == 360
    assert restart_time(TERMS, [Stretch(0, 90), Stretch(1000, 1700)]) == 700


@pytest.mark.parametrize("off", [-3600.0, 0.0, 3600.0])
def test_a_start_is_not_longer_for_a_clock_that_is_off(off: float) -> None:
    """The machine's, as the reader can tell of one that it hears; or the reader's own."""
    start = Stretch(0, 500 + off, agent=100 + off)
    assert replace(start, off=-off).start == 500
    assert replace(start, agent=100, started=500, off=off).start == 500
    # Of one that is no more it is not known whose clock is off: no boot takes longer than allowed.
    assert 400 <= (start.start or 0) <= 1000


def test_decisions_are_closer_where_the_deadline_is() -> None:
    assert TERMS.interval == 60
    assert Terms(2 * 3600, 3600, 360).interval == 36
    assert Terms(60, 30, 10).interval == 5


def test_how_much_a_deadline_is_missed_by() -> None:
    assert Terms(3600, 3000, 600).missing == 0
    assert Terms(3600, 3600, 600).missing == 600


def test_a_stretch_from_what_is_on_record() -> None:
    machine, status = {"launched_at": at(1)}, {"container_started_at": at(40), "hours_left": None}
    assert stretch_of(machine, None, None, BEGUN) == Stretch(launched=1)
    assert stretch_of(machine, status, None, BEGUN) == Stretch(1, 40)
    told = {**status, "hours_left": 1.5, "hours_left_at": at(60)}
    assert stretch_of(machine, told, None, BEGUN) == Stretch(1, 40, None, 1.5 * HOUR, 60)


def test_the_end_of_a_machine_that_is_gone_knows_no_container() -> None:
    status = {"container_started_at": at(40), "hours_left": 1.5, "hours_left_at": at(60)}
    lost = {"container_started_at": None, "ended_at": at(100)}
    assert stretch_of({"launched_at": at(1)}, status, lost, BEGUN) == Stretch(
        1, 40, 100, 1.5 * HOUR, 60
    )
    end = {
        "container_started_at": at(41),
        "container_ended_at": at(90),
        "ended_at": at(100),
        "hours_left": 0.5,
        "hours_left_at": at(80),
    }
    assert stretch_of({"launched_at": at(1)}, status, end, BEGUN) == Stretch(
        1, 41, 90, 0.5 * HOUR, 80
    )
