"""A run's picture: when it waited, when it had a machine, and what prices did meanwhile."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from dstack_cloud.catalog.models import SpotChange
from dstack_cloud.cli import picture_svg, picture_text
from dstack_cloud.clouds.base import Machine, MachineState
from dstack_cloud.cost import Cost
from dstack_cloud.lifecycle.bills import AttemptBill, RunBill
from dstack_cloud.lifecycle.picture import Doing, Picture, picture_of
from dstack_cloud.state.runs import RunState

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOW = START + timedelta(hours=100)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def attempt(
    number: int, begin: float | None, end: float | None, reason: str | None, spot: bool = True
) -> AttemptBill:
    machine = Machine("aws", "us-east-1", f"i-{number}", "g5.xlarge", MachineState.GONE)
    machine = Machine(**{**vars(machine), "zone": "us-east-1a", "spot": spot})
    return AttemptBill(
        number,
        at(0),
        None if begin is None else machine,
        None if begin is None else at(begin),
        None if end is None else at(end),
        reason,
        Cost(None, None),
    )


def change(machine: str, zone: str, hours: float, price: str) -> SpotChange:
    return SpotChange(machine, zone, at(hours), Decimal(price))


CHANGES = [
    change("g5.xlarge", "us-east-1a", -30, "0.9"),
    change("g5.xlarge", "us-east-1a", -3, "0.3"),
    change("g5.xlarge", "us-east-1a", 2, "0.5"),
    change("g5.xlarge", "us-east-1b", -1, "0.2"),
    change("g<&>", "us-east-1b", 1, "0.1"),
    change("late", "us-east-1b", 50, "0.1"),
]


@pytest.fixture
def interrupted() -> Picture:
    attempts = (
        attempt(1, 1, 3, "interrupted"),
        attempt(2, None, 3.5, "launch"),
        attempt(3, 4, 10, "exited", spot=False),
    )
    return picture_of(RunBill("train-1", "train", RunState.DONE, attempts), START, NOW, CHANGES)


def test_what_the_run_did(interrupted):
    found = [(span.doing, span.start, span.end) for span in interrupted.spans]
    assert found == [
        (Doing.WAITING, at(0), at(1)),
        (Doing.SPOT, at(1), at(3)),
        (Doing.WAITING, at(3), at(4)),
        (Doing.ON_DEMAND, at(4), at(10)),
    ]
    assert interrupted.taken == (at(3),)
    assert (interrupted.start, interrupted.end) == (at(0), at(10))


def test_a_run_that_goes_on_is_drawn_to_now():
    bill = RunBill("a-1", "a", RunState.RUNNING, (attempt(1, 1, None, None),))
    assert picture_of(bill, START, NOW, []).spans[-1].end == NOW
    waiting = picture_of(RunBill("a-1", "a", RunState.SUBMITTED, ()), START, NOW, [])
    assert [span.doing for span in waiting.spans] == [Doing.WAITING]


def test_prices_begin_with_the_one_in_force(interrupted):
    used = interrupted.series[0]
    assert (used.name, used.used) == ("g5.xlarge us-east-1a", True)
    assert used.points == ((at(0), Decimal("0.3")), (at(2), Decimal("0.5")))
    assert [one.name for one in interrupted.series[1:]] == [
        "g<&> us-east-1b",
        "g5.xlarge us-east-1b",
    ]
    assert used.at(at(1)) == Decimal("0.3")
    assert interrupted.series[1].at(at(0.5)) is None


def test_in_a_terminal(interrupted):
    lines = picture_text.picture_lines(interrupted, 100)
    assert max(map(len, lines)) <= 100
    prices, run = lines[0], lines[3]
    assert prices.startswith("* g5.xlarge us-east-1a")
    cells = prices.removeprefix("* g5.xlarge us-east-1a").split(" 0.300")[0].strip()
    # Low for a fifth of the time, then high.
    assert cells.count("▁") == pytest.approx(len(cells) * 0.2, abs=1)
    assert set(cells) == {"▁", "█"}
    cells = run.removeprefix("train-1").strip()
    assert cells.count("·") == pytest.approx(len(cells) * 0.2, abs=2)
    assert cells.count("▓") == pytest.approx(len(cells) * 0.6, abs=2)
    assert cells.count("✕") == 1


@pytest.mark.parametrize("columns", [10, 40, 200])
def test_any_width_will_do(interrupted, columns):
    assert picture_text.picture_lines(interrupted, columns)


def test_svg_is_one_document_that_fetches_nothing(interrupted):
    text = picture_svg.svg(interrupted)
    root = ET.fromstring(text)
    assert root.tag.endswith("svg")
    assert "g<&> us-east-1b" in "".join(root.itertext())
    assert "href" not in text
    assert "script" not in text
    bars = [
        (node.get("fill"), float(node.get("width", 0)))
        for node in root.iter("{http://www.w3.org/2000/svg}rect")
        if node.get("height") == "26"
    ]
    widths = [width for _, width in bars]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.3)
    assert widths[3] == pytest.approx(6 * widths[0], abs=0.3)
    assert picture_svg.html(interrupted).count("<svg") == 1


def test_a_picture_of_nothing_known():
    waiting = picture_of(RunBill("a-1", "a", RunState.SUBMITTED, ()), START, START, [])
    assert "no spot price is known" in picture_svg.svg(waiting)
    assert picture_text.picture_lines(waiting, 80)
