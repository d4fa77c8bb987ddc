"""What is asked for next while no machine is to be had."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dstack_cloud.clouds.base import FailureKind, LaunchFailure, Scope
from dstack_cloud.clouds.pace import answers_within
from dstack_cloud.lifecycle.capacity import (
    Ask,
    GiveUp,
    Patience,
    Pending,
    Refusal,
    Wait,
    next_step,
    refusals_of,
)
from dstack_cloud.resources import Offer, ZonePrice


def offer(machine: str, region: str = "r1", spot: bool = True, zones: str = "ab") -> Offer:
    return Offer(
        "aws",
        region,
        machine,
        4,
        16,
        None,
        spot,
        Decimal(1),
        Decimal(3),
        tuple(ZonePrice(region + zone, Decimal(1 + at)) for at, zone in enumerate(zones)),
    )


def failure(
    of: Offer,
    zone: str | None = None,
    kind: FailureKind = FailureKind.CAPACITY,
    scope: Scope = Scope.OFFER,
    seconds: int = 300,
) -> LaunchFailure:
    return LaunchFailure(kind, scope, "Code", "words", of, zone, seconds)


def refuse_all(asked: Ask, at: float, **how: object) -> list[Refusal]:
    return refusals_of(asked.offers, [failure(one, **how) for one in asked.offers], at)  # type: ignore[arg-type]


SMALL, LARGE, FAR = offer("small"), offer("large"), offer("small", "r2")
LISTED = offer("small", spot=False)


def test_the_first_region_is_asked_first_and_whole():
    assert next_step([SMALL, FAR, LARGE], [], 0, Patience()) == Ask((SMALL, LARGE))


def test_then_the_others_then_nothing():
    offers = [SMALL, FAR, LARGE]
    refusals = refuse_all(Ask((SMALL, LARGE)), 1)
    assert next_step(offers, refusals, 1, Patience()) == Ask((FAR,))
    refusals += refuse_all(Ask((FAR,)), 2)
    assert next_step(offers, refusals, 2, Patience()) == GiveUp()


def test_who_waits_asks_again_with_growing_pauses():
    patience, refusals, now, pauses = Patience(wait=1800), [], 0.0, []
    while (step := next_step([SMALL], refusals, now, patience)) != GiveUp():
        if isinstance(step, Ask):
            refusals += refuse_all(step, now)
        else:
            assert isinstance(step, Wait)
            pauses.append(step.seconds)
            now += step.seconds
    assert pauses == [15, 30, 60, 120, 240, 300, 300, 300, 300]
    assert now <= 1800


def test_a_type_that_is_not_there_at_all_is_not_asked_for_again():
    day = refuse_all(Ask((SMALL,)), 0, seconds=86400)
    assert next_step([SMALL], day, 0, Patience(wait=1800)) == GiveUp()
    quota = refuse_all(Ask((SMALL,)), 0, kind=FailureKind.QUOTA, seconds=3600)
    assert next_step([SMALL], quota, 0, Patience(wait=1800)) == GiveUp()


def test_on_demand_at_once_where_spot_has_none():
    offers, patience = [SMALL, FAR, LISTED], Patience(on_demand_after=0)
    assert next_step(offers, [], 0, patience) == Ask((SMALL,))
    refusals = refuse_all(Ask((SMALL,)), 0) + refuse_all(Ask((FAR,)), 0)
    assert next_step(offers, refusals, 0, patience) == Ask((LISTED,))


def test_on_demand_only_after_its_time():
    offers, patience = [SMALL, LISTED], Patience(on_demand_after=600)
    refusals = refuse_all(Ask((SMALL,)), 0)
    assert next_step(offers, refusals, 0, patience) == Wait(15)
    for at in (15, 45, 105, 225, 465):
        assert next_step(offers, refusals, at, patience) == Ask((SMALL,))
        refusals += refuse_all(Ask((SMALL,)), at)
    # The next turn of spot would be at 765.
    assert next_step(offers, refusals, 465, patience) == Wait(135)
    assert next_step(offers, refusals, 600, patience) == Ask((LISTED,))
    refusals += refuse_all(Ask((LISTED,)), 600)
    assert next_step(offers, refusals, 600, patience) == GiveUp()


def test_nobody_waits_for_spot_where_none_is_offered():
    assert next_step([LISTED], [], 0, Patience(on_demand_after=600)) == Ask((LISTED,))


@pytest.mark.parametrize(
    ("scope", "zone", "left"),
    [
        (Scope.OFFER, None, ["large", "small"]),
        (Scope.ZONE, "r1a", ["large", "small"]),
        (Scope.REGION, None, ["small"]),
        (Scope.CLOUD, None, []),
        (Scope.EVERYTHING, None, []),
    ],
)
def test_what_a_failure_rules_out(scope, zone, left):
    refusals = refusals_of([SMALL], [failure(SMALL, zone, scope=scope)], 0)
    found, now = [], 0.0
    while isinstance(step := next_step([SMALL, LARGE, FAR], refusals, now, Patience()), Ask):
        found += [one.machine for one in step.offers]
        refusals += refuse_all(step, now)
    assert found == left


def test_a_zone_without_room_is_left_out_of_the_other_offers():
    full = failure(SMALL, "r1a", scope=Scope.ZONE)
    refusals = refusals_of([SMALL], [full], 0)
    step = next_step([SMALL, LARGE], refusals, 0, Patience())
    assert isinstance(step, Ask)
    (left,) = step.offers
    assert ([zone.zone for zone in left.zones], left.price) == (["r1b"], Decimal(2))


@pytest.mark.parametrize("scope", [Scope.ZONE, Scope.REGION, Scope.CLOUD, Scope.EVERYTHING])
def test_what_spot_lacks_on_demand_may_have(scope):
    zone = "r1a" if scope is Scope.ZONE else None
    patience = Patience(on_demand_after=0)
    asked = Ask((SMALL,))

    def then(any_market: bool) -> object:
        told = [replace(failure(SMALL, zone, scope=scope), any_market=any_market)]
        refusals = refusals_of(asked.offers, told, 0) + refuse_all(asked, 0)
        return next_step([SMALL, LISTED], refusals, 0, patience)

    assert then(any_market=False) == Ask((LISTED,))
    closed = then(any_market=True)
    if scope is Scope.ZONE:
        # The other zone is open in either market.
        assert closed == Ask((replace(LISTED, zones=LISTED.zones[1:], price=Decimal(2)),))
    else:
        assert closed == GiveUp()


def test_what_on_demand_lacks_spot_may_have():
    refusals = refusals_of([LISTED], [failure(LISTED, scope=Scope.REGION)], 0)
    assert next_step([LISTED, SMALL], refusals, 0, Patience()) == Ask((SMALL,))


def test_what_was_not_explained_is_not_asked_for_again_at_once():
    refusals = refusals_of([SMALL], [], 0)
    assert next_step([SMALL], refusals, 0, Patience()) == GiveUp()


def test_an_offer_in_two_parts_is_asked_for_part_by_part():
    near, far = offer("small", zones="a"), replace(offer("small", zones="bc"), price=Decimal(2))
    refusals = refuse_all(Ask((near,)), 0)
    assert next_step([near, far], refusals, 0, Patience()) == Ask((far,))


OFFERS = [SMALL, LARGE, FAR, LISTED, offer("large", "r2", spot=False)]


@given(
    st.lists(st.sampled_from(OFFERS), min_size=1, max_size=6, unique_by=id),
    st.integers(0, 3600),
    st.one_of(st.none(), st.integers(0, 3600)),
    st.data(),
)
def test_the_search_ends_in_its_time_and_asks_for_everything(offers, wait, after, data):
    patience, refusals, now, asked, steps = Patience(after, wait), [], 0.0, set(), 0
    while (step := next_step(offers, refusals, now, patience)) != GiveUp():
        steps += 1
        assert steps < 500
        if isinstance(step, Wait):
            assert step.seconds > 0
            now += step.seconds
            continue
        assert isinstance(step, Ask)
        assert len({(one.region, one.spot) for one in step.offers}) == 1
        asked |= {(one.region, one.machine, one.spot) for one in step.offers}
        seconds = data.draw(st.sampled_from([30, 300, 3600]))
        refusals += refuse_all(step, now, seconds=seconds)
    assert now <= patience.until
    assert asked == {(one.region, one.machine, one.spot) for one in offers}


def test_a_region_that_takes_long_is_asked_beside_the_next_one():
    offers, pending = [SMALL, LARGE, FAR], [Pending("r1", True, 10)]
    assert next_step(offers, [], 12, Patience(), pending) == Wait(3)
    assert next_step(offers, [], 15, Patience(), pending) == Ask((FAR,))
    both = [*pending, Pending("r2", True, 15)]
    third = offer("small", "r3")
    assert next_step([*offers, third], [], 99, Patience(), both) == Wait(None)
    # An answer makes room, by the time of what is still under way.
    refusals = refuse_all(Ask((FAR,)), 16)
    assert next_step([*offers, third], refusals, 16, Patience(), pending) == Ask((third,))


def test_each_cloud_has_its_own_pace():
    pending = [Pending("r1", True, 10)]
    google = Patience(overlap=answers_within("gcp"))
    assert next_step([SMALL, FAR], [], 16, google, pending) == Wait(10 + google.overlap - 16)
    amazon = Patience(overlap=answers_within("aws"))
    assert next_step([SMALL, FAR], [], 16, amazon, pending) == Ask((FAR,))


def test_nobody_gives_up_while_an_answer_is_under_way():
    pending = [Pending("r1", True, 0)]
    assert next_step([SMALL, LARGE], [], 99, Patience(), pending) == Wait(None)
    # Nor is the dearer market asked before the better one has said no.
    far = offer("small", "r2", spot=False)
    patience = Patience(on_demand_after=0)
    assert next_step([SMALL, far], [], 99, patience, pending) == Wait(None)
