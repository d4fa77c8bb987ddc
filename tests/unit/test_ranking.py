"""Spot offers by what an hour of useful work is expected to cost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dstack_cloud.ranking import MARGIN, Experience, Spell, banded, ranked, reckon
from dstack_cloud.resources import Offer, ZonePrice
from dstack_cloud.state import spells
from dstack_cloud.storage.local import LocalStore

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
D = Decimal


def offer(machine: str, spot: bool = True, **zones: str | None) -> Offer:
    found = tuple(
        ZonePrice(zone, None if price is None else D(price)) for zone, price in zones.items()
    )
    return Offer("aws", "r1", machine, 4, 16, None, spot, found[0].price, D(9), found)


def names(offers: list[Offer]) -> list[str]:
    return [f"{one.machine}-{''.join(zone.zone for zone in one.zones)}" for one in offers]


def steady(price: str) -> list[tuple[datetime, Decimal]]:
    return [(NOW - timedelta(days=9), D(price))]


def test_without_experience_the_price_decides():
    offers = [offer("s", a="2", b="1"), offer("l", a="1.5")]
    assert names(ranked(offers, Experience(), NOW)) == ["s-ba", "l-a"]
    (best, _) = reckon(offers[0], Experience(), NOW)
    # One interruption in two days, a tenth of an hour each.
    assert best.expected == D(1) * D(f"{1 + 0.1 / 48:.6f}")
    assert (best.history, best.dearer) == (False, 0)


def test_a_price_that_was_higher_counts_for_more():
    """A third of the time it cost twice as much: a third more is expected."""
    moving = [
        (NOW - timedelta(days=9), D(1)),
        (NOW - timedelta(days=2), D(2)),
        (NOW - timedelta(days=1), D(1)),
    ]
    known = Experience({("r1", "a", "s"): moving, ("r1", "a", "l"): steady("1.2")})
    (one,) = reckon(offer("s", a="1"), known, NOW)
    assert one.dearer == pytest.approx(1 / 3)
    assert names(ranked([offer("s", a="1"), offer("l", a="1.2")], known, NOW)) == ["l-a", "s-a"]


def test_a_price_that_was_lower_counts_for_nothing():
    rising = [(NOW - timedelta(days=9), D("0.5")), (NOW - timedelta(hours=1), D(1))]
    (one,) = reckon(offer("s", a="1"), Experience({("r1", "a", "s"): rising}), NOW)
    assert one.dearer == 0


def test_history_that_is_shorter_than_the_days_counts_for_what_there_is():
    short = [(NOW - timedelta(hours=2), D(3)), (NOW - timedelta(hours=1), D(1))]
    (one,) = reckon(offer("s", a="1"), Experience({("r1", "a", "s"): short}), NOW)
    assert one.dearer == pytest.approx(1.0)


def test_own_interruptions_count_where_they_were():
    taken = [Spell(("r1", "a", "s"), 0.5, True)] * 10
    kept = [Spell(("r1", "b", "s"), 100, False), Spell(("r2", "b", "s"), 1, True)]
    found = reckon(offer("s", a="1", b="1.03"), Experience(spells=[*taken, *kept]), NOW)
    calm, wild = found
    assert (calm.pool[1], calm.interrupted, calm.hours) == ("b", 0, 100)
    assert (wild.pool[1], wild.interrupted, wild.hours) == ("a", 10, 5)
    assert wild.rate == pytest.approx(10.5 / 29)
    assert calm.rate == pytest.approx(0.5 / 124)


def test_on_demand_keeps_its_place_behind():
    offers = [offer("l", spot=False, a="9"), offer("s", a="2"), offer("m", a="1")]
    assert names(ranked(offers, Experience(), NOW)) == ["m-a", "s-a", "l-a"]
    assert reckon(offers[0], Experience(), NOW) == []


def test_the_price_of_an_offer_is_that_of_its_best_zone():
    wild = Experience({("r1", "a", "s"): [(NOW - timedelta(days=9), D(5))]})
    (one,) = ranked([offer("s", a="1", b="1.2", c=None)], wild, NOW)
    assert ([zone.zone for zone in one.zones], one.price) == (["b", "a", "c"], D("1.2"))


def test_bands():
    offers = [offer("s", a="1", b="1.2", c="1.6", d=None), offer("l", a="1.25", b="1.26")]
    found = [names(band) for band in banded(offers)]
    assert found == [["s-ab", "l-a"], ["l-b"], ["s-c"], ["s-d"]]
    assert banded([]) == []


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from("abcdef"),
            st.one_of(st.none(), st.decimals("0.01", "5", places=3)),
            min_size=1,
        ),
        max_size=6,
    )
)
def test_every_zone_is_in_one_band_within_the_margin(listed):
    texts = [{zone: price and str(price) for zone, price in one.items()} for one in listed]
    offers = [offer(f"m{number}", **one) for number, one in enumerate(texts)]
    bands = banded(offers)
    pools = [(one.machine, zone.zone) for band in bands for one in band for zone in one.zones]
    assert sorted(pools) == sorted((one.machine, zone.zone) for one in offers for zone in one.zones)
    last = D(0)
    for band in bands:
        costs = [zone.cost for one in band for zone in one.zones]
        known = [cost for cost in costs if cost is not None]
        assert len(known) in (0, len(costs))
        if known:
            assert max(known) <= min(known) * (1 + MARGIN)
            assert min(known) >= last
            last = max(known)
            # What comes first in the band costs least.
            assert band[0].zones[0].cost == min(known)
            assert all(one.price == one.zones[0].price for one in band)


def test_spells_are_told_to_later_plans(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    pool = ("us-east-1", "us-east-1a", "g4dn.xlarge")
    spells.note(store, "aws", Spell(pool, 1.5, True), "train-1-1", NOW - timedelta(days=2))
    spells.note(store, "aws", Spell(pool, 1.5, True), "train-1-1", NOW - timedelta(days=2))
    spells.note(store, "aws", Spell(pool, 2, False), "train-1-2", NOW)
    spells.note(store, "aws", Spell(pool, 9, True), "train-0-1", NOW - timedelta(days=40))
    spells.note(store, "gcp", Spell(pool, 9, True), "train-9-1", NOW)
    store.put("spells/aws/strange", b"")
    assert list(spells.recent(store, "aws", NOW)) == [Spell(pool, 1.5, True), Spell(pool, 2, False)]
