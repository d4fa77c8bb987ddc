"""What the plan says of a deadline."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dstack_cloud.cli.due import due_lines, how_to_keep
from dstack_cloud.lifecycle.pace import Terms
from dstack_cloud.resources import Offer, ZonePrice


def offer(spot: bool, price: str) -> Offer:
    zones = (ZonePrice("us-east-1a", Decimal(price)),)
    return Offer(
        "aws", "us-east-1", "m", 4, 16, None, spot, Decimal(price), Decimal("1.0"), zones=zones
    )


SPOT, ON_DEMAND = offer(True, "0.3"), offer(False, "1.0")
TERMS = Terms(deadline=36 * 3600, duration=20 * 3600, restart=360)
HEAD = "deadline 36 h 00 m: 20 h 00 m of work, 6 m 00 s for each start of a machine"
GB = 1 << 30


def test_what_may_be_lost_what_comes_first_and_what_it_costs() -> None:
    head, first, cost = due_lines(TERMS, [SPOT, ON_DEMAND], GB, public=False)
    assert head == f"{HEAD}; 15 h 54 m may go to waiting and interruptions"
    assert first.startswith("at first a spot machine: ")
    # 20.1 hours at 0.3 and 1.0 USD, and a disk of 1 GB for less than a cent.
    assert cost == "6.03 $ if spot lasts throughout, 20.10 $ if all of it is on demand"


def test_a_deadline_without_time_to_lose_begins_on_demand() -> None:
    tight = Terms(20 * 3600 + 400, 20 * 3600, 360)
    lines = due_lines(tight, [SPOT, ON_DEMAND], GB, public=False)
    assert lines[1].startswith("at first a machine on demand: ")


def test_a_deadline_of_a_workflow_that_takes_no_spot() -> None:
    (line,) = due_lines(TERMS, [ON_DEMAND], GB, public=False)
    assert line == f"{HEAD}; 15 h 54 m to spare, for no spot machine is asked for, 20.10 $"


def test_without_machines_on_demand_nothing_vouches_for_it() -> None:
    lines = due_lines(TERMS, [SPOT], GB, public=False)
    assert "rests on spot alone" in lines[2]


@pytest.mark.parametrize(
    ("deadline", "missed", "hint"),
    [
        (18 * 3600, "2 h 06 m", "give it at least 20 h 06 m, or work of at most 17 h 54 m;"),
        (300, "20 h 01 m", "give it at least 20 h 06 m;"),
    ],
)
def test_one_that_cannot_be_kept_and_what_could(deadline: int, missed: str, hint: str) -> None:
    terms = Terms(deadline, 20 * 3600, 360)
    (line,) = due_lines(terms, [SPOT, ON_DEMAND], GB, public=False)
    assert line.endswith(f": missed by {missed} even on demand at once")
    assert how_to_keep(terms).startswith(hint)


def test_what_is_told_in_minutes_is_enough() -> None:
    assert how_to_keep(Terms(3600, 20 * 3600, 10)).startswith("give it at least 20 h 01 m")
