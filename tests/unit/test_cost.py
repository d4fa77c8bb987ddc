"""Bills and budgets: intervals times prices, and nothing made up where a price is missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dstack_cloud.cost import Cost, Interval, Rates, cost_of, least_cost, remaining, total
from dstack_cloud.rates import rates
from dstack_cloud.units import GIB

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
D = Decimal


def interval(
    hours: float, rates: Rates, on_demand: str | None = "1", moves=(), cloud="aws", address=None
):
    return Interval(
        cloud,
        START,
        START + timedelta(hours=hours),
        rates,
        Rates(None if on_demand is None else D(on_demand), rates.disk, address or rates.address),
        tuple((START + timedelta(hours=at), D(price)) for at, price in moves),
    )


def test_all_parts_are_on_the_bill():
    bill = cost_of([interval(2, Rates(D("0.3"), D("0.02"), D("0.005")))])
    assert (bill.machine, bill.disk, bill.address) == (D("0.6"), D("0.04"), D("0.01"))
    assert bill.cost == D("0.65")
    # The disk and the address would have cost the same on demand.
    assert bill.on_demand == D("2.05")
    assert bill.saving == 1 - D("0.65") / D("2.05")


def test_an_address_may_cost_more_on_demand():
    spot = interval(2, Rates(D("0.3"), D("0.02"), D("0.0025")), address=D("0.005"))
    bill = cost_of([spot])
    assert (bill.cost, bill.on_demand) == (D("0.645"), D("2.05"))


def test_every_attempt_counts():
    one = interval(1, Rates(D("0.3")))
    assert cost_of([one, one, one]).cost == D("0.9")
    assert total([cost_of([one]), cost_of([one])]).machine == D("0.6")


@pytest.mark.parametrize(
    "unknown", [Rates(None), Rates(D(1), None), Rates(D(1), D(0), None)], ids=str
)
def test_what_is_not_known_is_no_number(unknown):
    known = interval(1, Rates(D("0.3")))
    bill = cost_of([known, interval(1, unknown)])
    assert bill.cost is None
    assert bill.saving is None
    assert total([cost_of([known]), bill]).cost is None
    assert unknown.total is None


def test_the_least_that_is_billed_is_a_minute():
    assert cost_of([interval(1 / 3600, Rates(D(60)))]).cost == D(1)
    assert cost_of([interval(0, Rates(D(60)), cloud="local")]).cost == D(0)
    assert least_cost("aws", D(60)) == D(1)


def test_a_spot_price_that_moves_is_followed():
    moves = [(-5, "9"), (-1, "0.2"), (1, "0.4"), (1.5, "0.1"), (7, "9")]
    bill = cost_of([interval(2, Rates(D("0.3"), D("0.01")), moves=moves)])
    # 1 h at 0.2, half at 0.4, half at 0.1; what was before or comes after does not count.
    assert bill.machine == D("0.45")
    assert bill.disk == D("0.02")


def test_moves_that_begin_too_late_leave_the_recorded_price():
    assert cost_of([interval(2, Rates(D("0.3")), moves=[(1, "0.9")])]).cost == D("0.6")


@given(
    st.lists(
        st.tuples(st.decimals("0.01", "9", places=3), st.decimals("0.1", "5", places=2)),
        min_size=1,
        max_size=6,
    )
)
def test_moves_add_up_like_intervals_of_their_own(parts):
    moves, apart, at = [], Decimal(0), Decimal(0)
    for price, hours in parts:
        moves.append((float(at), str(price)))
        apart += price * hours
        at += hours
    whole = cost_of([interval(float(at), Rates(D(1)), moves=moves)]).machine
    assert whole is not None
    assert abs(whole - apart) < D("0.001")


@pytest.mark.parametrize(
    ("spent", "left"),
    [
        ([], "5"),
        (["1.25", "0.75"], "3"),
        (["4", "2"], "0"),
        (["1", None], None),
    ],
)
def test_what_attempts_leave_of_a_budget(spent, left):
    found = remaining(D(5), [None if one is None else D(one) for one in spent])
    assert found == (None if left is None else D(left))


def test_rates_of_a_machine():
    found = rates("aws", "us-east-1", D("0.158"), 720 * GIB, True)
    assert found == Rates(D("0.158"), D("0.08"), D("0.005"))
    assert rates("aws", "us-east-1", D(1), GIB, False).address == D(0)


def test_rates_that_are_not_known():
    assert rates("aws", "xx-nowhere-1", D(1), 720 * GIB, True).disk is None
    assert rates("aws", "us-east-1", D(1), None, None) == Rates(D(1), None, None)


def test_parts_of_a_machine_on_google_cloud():
    found = rates("gcp", "us-central1", D("0.19"), 730 * GIB, True)
    assert found == Rates(D("0.19"), D("0.1"), D("0.005"))
    spot = rates("gcp", "europe-west4", D("0.05"), 730 * GIB, True, spot=True)
    assert spot == Rates(D("0.05"), D("0.11"), D("0.0025"))
    assert rates("gcp", "us-central1", D(1), GIB, False).address == D(0)
    assert rates("gcp", "mars-north1", D(1), GIB, True).disk is None


def test_this_machine_is_free():
    assert rates("local", "local", D(0), None, None).total == D(0)
    assert Cost(D(0), D(0)).saving is None
