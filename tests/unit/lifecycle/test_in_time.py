"""What a run with a deadline asks for and when it moves: decided from what is on record."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dstack_cloud.clouds.base import Machine, MachineState, Scope
from dstack_cloud.lifecycle.capacity import Ask, GiveUp, Patience, Refusal, Wait
from dstack_cloud.lifecycle.follow import Following
from dstack_cloud.lifecycle.in_time import InTime
from dstack_cloud.lifecycle.market import at_first, market_of, worth_asking
from dstack_cloud.lifecycle.pace import Terms
from dstack_cloud.resources import Offer, ZonePrice
from dstack_cloud.state import attempts, shortages
from dstack_cloud.state.shortages import Shortage
from dstack_cloud.storage.base import Store
from dstack_cloud.storage.open import open_store
from dstack_cloud.units import format_time, parse_time

BEGUN = parse_time("2026-01-31T09:00:00Z")
HOURS = 3600
PATIENCE = Patience(None, 36 * HOURS)
RELAXED = Terms(36 * HOURS, 20 * HOURS, 360)
TIGHT = Terms(20 * HOURS + 400, 20 * HOURS, 360)


def offer(machine: str, spot: bool, price: str, zones: str = "ab", region: str = "r1") -> Offer:
    prices = tuple(ZonePrice(f"{region}{zone}", Decimal(price)) for zone in zones)
    return Offer("aws", region, machine, 4, 16, None, spot, Decimal(price), Decimal("1.0"), prices)


OFFERS = [
    offer("m", True, "0.3"),
    offer("m", True, "0.31", region="r2"),
    offer("dear", True, "1.2", "c"),
    offer("m", False, "1.0"),
]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path), region=None, profile=None)


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> datetime:
        return BEGUN + timedelta(seconds=self.seconds)


def keeper(store: Store, terms: Terms) -> tuple[InTime, Clock]:
    record: Any = SimpleNamespace(run="train-1", cloud="aws", submitted_at=format_time(BEGUN))
    clock = Clock()
    return InTime(store, record, terms, clock), clock


def refused(offers: Sequence[Offer], at: float = 0.0, seconds: float = 300.0) -> list[Refusal]:
    return [
        Refusal(
            Scope.OFFER,
            one.region,
            one.machine,
            one.spot,
            frozenset(zone.zone for zone in one.zones),
            at,
            seconds,
            passing=False,
        )
        for one in offers
    ]


SPOT, ON_DEMAND = OFFERS[:3], OFFERS[3:]


def test_spot_dearer_than_on_demand_is_not_worth_asking_for() -> None:
    market = market_of(OFFERS, OFFERS)
    assert market.prices == {"r1a": 0.3, "r1b": 0.3, "r2a": 0.31, "r2b": 0.31}
    assert (market.on_demand, market.on_demand_up) == (1.0, True)
    assert worth_asking("spot", OFFERS, market) == (OFFERS[0],)
    assert worth_asking("on-demand", OFFERS, market) == (OFFERS[3],)


def test_zones_that_are_short_are_known_with_their_price() -> None:
    market = market_of(OFFERS, OFFERS[1:])
    assert market.up == {"r2a", "r2b"}
    assert market.prices["r1a"] == 0.3


def test_without_offers_on_demand_their_list_price_is_the_measure() -> None:
    market = market_of(SPOT, SPOT)
    assert (market.on_demand, market.on_demand_up) == (1.0, False)


def test_what_a_submission_begins_with() -> None:
    assert at_first(RELAXED, OFFERS).kind == "spot"
    assert at_first(TIGHT, OFFERS).kind == "on-demand"
    assert at_first(RELAXED, ON_DEMAND).kind == "on-demand"


def test_a_search_asks_for_spot_and_goes_elsewhere_where_it_is_refused(store: Store) -> None:
    step = keeper(store, RELAXED)[0].search()
    assert step(OFFERS, [], 0, PATIENCE) == Ask((OFFERS[0],))
    assert step(OFFERS, refused(OFFERS[:1]), 0, PATIENCE) == Ask((OFFERS[1],))


def test_a_search_without_time_to_lose_asks_for_machines_on_demand(store: Store) -> None:
    assert keeper(store, TIGHT)[0].search()(OFFERS, [], 0, PATIENCE) == Ask((OFFERS[3],))


def test_a_search_waits_for_spot_and_asks_again_until_the_slack_is_gone(store: Store) -> None:
    step = keeper(store, RELAXED)[0].search()
    short = refused(SPOT)
    found = step(OFFERS, short, 10, PATIENCE)
    assert isinstance(found, Wait)
    assert 0 < found.seconds <= 60
    assert step(OFFERS, short, 301, PATIENCE) == Ask((OFFERS[0],))
    # 36 hours less 20 of work and a start: what is short for good is waited for no longer.
    late = 16 * HOURS - 400
    assert step(OFFERS, refused(SPOT, seconds=1e9), late, PATIENCE) == Ask((OFFERS[3],))


def test_where_on_demand_has_nothing_either_any_spot_will_do(store: Store) -> None:
    step = keeper(store, TIGHT)[0].search()
    assert step(OFFERS, refused(ON_DEMAND), 0, PATIENCE) == Ask((OFFERS[0],))
    assert isinstance(step(OFFERS, refused(OFFERS), 0, PATIENCE), Wait)
    assert step(OFFERS, refused(OFFERS, seconds=1e9), 0, PATIENCE) == GiveUp()


def test_what_other_launches_found_short_is_not_to_be_had(store: Store) -> None:
    until = int(time.time()) + 600
    for zone in ("r1a", "r1b"):
        shortages.remember(store, "aws", [Shortage("r1", zone, "m", True, until)])
        shortages.remember(store, "aws", [Shortage("r1", zone, "m", False, until)])
    shortages.remember(store, "aws", [Shortage("r2", "r2a", "m", False, until)])
    assert keeper(store, RELAXED)[0].search()(OFFERS, [], 0, PATIENCE) == Ask((OFFERS[1],))
    # Of machines on demand that is no reason: there is no time left to be wrong.
    assert keeper(store, TIGHT)[0].search()(OFFERS, [], 0, PATIENCE) == Ask((OFFERS[3],))


def test_a_pool_that_took_a_machine_back_is_short_for_a_while(store: Store) -> None:
    in_time, clock = keeper(store, RELAXED)
    state = MachineState.RUNNING
    for zone in ("r1a", "r1b"):
        in_time.lose(Machine("aws", "r1", f"i-{zone}", "m", state, zone=zone, spot=True))
    assert in_time.search()(OFFERS, [], 0, PATIENCE) == Ask((OFFERS[1],))
    clock.seconds = 301
    assert in_time.search()(OFFERS, [], 0, PATIENCE) == Ask((OFFERS[0],))


def following(spot: bool, launched: float) -> Following:
    machine = Machine(
        "aws",
        "r1",
        "i-1",
        "m",
        MachineState.RUNNING,
        zone="r1a",
        spot=spot,
        price=Decimal("0.3"),
        on_demand=Decimal("1.0"),
        launched_at=BEGUN + timedelta(seconds=launched),
    )
    return Following("train-1", 1, machine, "key")


def follow(
    store: Store, spot: bool, seconds: float, launched: float = 0.0, **status: Any
) -> str | None:
    in_time, clock = keeper(store, RELAXED)
    clock.seconds = seconds
    started = {"container_started_at": format_time(BEGUN + timedelta(seconds=60))}
    choice = in_time.move({**started, **status}, following(spot, launched))
    return None if choice is None else choice.why


def told(hours: float, seconds: float) -> dict[str, Any]:
    at = BEGUN + timedelta(seconds=seconds)
    return {"hours_left": hours, "hours_left_at": format_time(at)}


def test_spot_that_makes_progress_is_kept(store: Store) -> None:
    assert follow(store, True, 2 * HOURS) is None
    assert follow(store, True, 15 * HOURS, **told(20, 15 * HOURS)) is None


def test_spot_whose_work_does_not_get_less_is_left_in_time(store: Store) -> None:
    seconds = 36 * HOURS - 20 * HOURS - 360 - 30  # Half an interval before it is too late.
    assert follow(store, True, seconds, **told(20, seconds)) == "no time is left to lose"


def test_a_move_that_comes_too_late_is_not_made(store: Store) -> None:
    seconds = 16 * HOURS
    assert follow(store, True, seconds, **told(20, seconds)) is None


def test_a_machine_on_demand_is_kept(store: Store) -> None:
    seconds = 16 * HOURS - 390
    assert follow(store, False, seconds, **told(20, seconds)) is None


def test_spot_that_does_not_come_up_is_left(store: Store) -> None:
    seconds = 16 * HOURS - 360 - 60 - 5  # Five seconds more may be lost.
    booting = {"container_started_at": None}
    assert follow(store, True, seconds, seconds - 100, **booting) == "no time is left to lose"
    assert follow(store, True, seconds, seconds - 357, **booting) is None  # It is about to work.


def test_what_has_ended_is_not_moved(store: Store) -> None:
    seconds = 36 * HOURS - 20 * HOURS - 360 - 30
    assert follow(store, True, seconds, phase="saving", **told(20, seconds)) is None


def worked_since_the_submission(store: Store) -> None:
    """A first attempt without an end on record."""
    attempts.claim_attempt(store, "train-1", 1, {"at": format_time(BEGUN)})
    attempts.record_machine(store, "train-1", 1, {"launched_at": format_time(BEGUN)})
    status = {"container_started_at": format_time(BEGUN)}
    store.put("runs/train-1/attempts/1/status.json", json.dumps(status).encode())


def test_an_attempt_that_saves_its_work_works_no_more(store: Store) -> None:
    """It had worked for an hour when the next one was followed, whose container is not to start."""
    worked_since_the_submission(store)
    in_time, clock = keeper(store, RELAXED)
    second = replace(following(spot=True, launched=HOURS), attempt=2)
    clock.seconds = HOURS
    assert in_time.move({}, second) is None
    clock.seconds = 36 * HOURS - 19 * HOURS - 360 - 60 + 1
    in_time._due = 0.0  # The clock between two looks is another one.
    choice = in_time.move({}, second)
    assert choice is not None
    assert (choice.kind, choice.why) == ("on-demand", "no time is left to lose")


def test_time_spent_waiting_for_a_machine_is_neither_work_nor_a_start(store: Store) -> None:
    """One attempt worked for an hour and was lost; its successor is looked for, for hours."""
    worked_since_the_submission(store)
    in_time, clock = keeper(store, RELAXED)
    clock.seconds = HOURS
    step = in_time.search()
    short = refused(SPOT, seconds=1e9)
    # 19 hours of work and a start must fit into the rest.
    latest = 36 * HOURS - 19 * HOURS - 360 - HOURS
    assert step(OFFERS, short, latest, PATIENCE) == Ask((OFFERS[3],))


def on_demand_works(in_time: InTime, clock: Clock, seconds: float, **more: Any) -> Any:
    """What should run in its place, ``seconds`` after the submission."""
    clock.seconds = seconds
    in_time._due = 0.0  # The clock between two decisions is another one.
    status = {"container_started_at": format_time(BEGUN + timedelta(seconds=60)), **more}
    return in_time.move(status, following(False, 0.0))


def test_on_demand_is_left_for_spot_that_may_be_had(store: Store) -> None:
    in_time, clock = keeper(store, RELAXED)
    assert in_time.needs_offers()
    assert on_demand_works(in_time, clock, HOURS) is None  # What else there is, is not known.
    in_time.know(OFFERS)
    assert not in_time.needs_offers()
    booting = {"container_started_at": None}
    assert on_demand_works(in_time, clock, HOURS, **booting) is None
    assert on_demand_works(in_time, clock, HOURS, phase="saving") is None
    assert on_demand_works(in_time, clock, HOURS).kind == "spot"
    assert in_time.worth_a_look() == (OFFERS[0],)


def test_a_look_that_finds_none_is_not_repeated_at_once(store: Store) -> None:
    in_time, clock = keeper(store, RELAXED)
    in_time.know(OFFERS)
    seconds, looks = float(HOURS), []
    while seconds < 2 * HOURS:
        choice = on_demand_works(in_time, clock, seconds)
        if choice is not None and choice.kind == "spot":
            looks.append(seconds)
            for offers in (OFFERS[:1], OFFERS[1:2]):  # Region by region.
                assert in_time.worth_a_look() == tuple(offers)
                in_time.refused(offers, ())
        seconds += 15
    pauses = [after - before for before, after in pairwise(looks)]
    assert pauses[:5] == [15, 30, 60, 120, 240]
    assert set(pauses[5:]) == {300}


def test_refusals_of_other_runs_and_of_the_search_before_are_known_beside_on_demand(
    store: Store,
) -> None:
    until = int(time.time()) + 600
    shortages.remember(store, "aws", [Shortage("r2", "r2a", "m", True, until)])
    shortages.remember(store, "aws", [Shortage("r2", "r2b", "m", True, until)])
    in_time, clock = keeper(store, RELAXED)
    step = in_time.search()
    step(OFFERS, refused(OFFERS[:1], at=50), 50, PATIENCE)
    for zone in ("r1a", "r1b"):  # What it was refused itself it may ask for sooner than others.
        shortages.remember(store, "aws", [Shortage("r1", zone, "m", True, until)])
    clock.seconds = 120
    assert in_time.worth_a_look() == ()
    clock.seconds = 50 + 301
    assert in_time.worth_a_look() == (OFFERS[0],)


def test_on_demand_without_time_to_lose_is_kept_though_spot_may_be_had(store: Store) -> None:
    in_time, clock = keeper(store, RELAXED)
    in_time.know(OFFERS)
    seconds = 16 * HOURS - 390
    assert on_demand_works(in_time, clock, seconds, **told(20, seconds)) is None


def test_on_demand_is_let_go_where_waiting_is_cheaper(store: Store) -> None:
    """Spot came back soon whenever it went, and there are days to lose."""
    in_time, clock = keeper(store, Terms(240 * HOURS, 20 * HOURS, 360))
    in_time.know(OFFERS)
    zones = {"r1a": 0.3, "r1b": 0.3, "r2a": 0.31, "r2b": 0.31}
    for hour in range(0, 40, 2):
        in_time._seen = in_time._seen.after(hour * HOURS, set(zones), zones, None)
        in_time._seen = in_time._seen.after(hour * HOURS + 6600, set(), zones, None)
    seconds = 40 * HOURS
    clock.seconds = seconds
    for offers in (OFFERS[:1], OFFERS[1:2]):
        in_time.refused(offers, ())
    assert on_demand_works(in_time, clock, seconds, **told(20, seconds)).kind == "wait"


@pytest.mark.parametrize("off", [-HOURS, HOURS])
def test_a_machine_whose_clock_is_off_is_not_thought_to_have_done_more_or_less(
    store: Store, off: float
) -> None:
    """By its own clock it has worked for an hour: 19 are left, whatever ours says."""
    latest = 36 * HOURS - 19 * HOURS - 360 - 60

    def at(now: float) -> str | None:
        launched = now - HOURS - 60
        status = {
            "started_at": format_time(BEGUN + timedelta(seconds=launched + 30 + off)),
            "container_started_at": format_time(BEGUN + timedelta(seconds=launched + 60 + off)),
            "updated_at": format_time(BEGUN + timedelta(seconds=now + off)),
        }
        return follow(store, True, now, launched, **status)

    assert at(latest - 60) is None
    assert at(latest + 30) == "no time is left to lose"


@pytest.mark.parametrize("off", [-HOURS, HOURS])
def test_a_run_is_as_old_as_the_store_says_whatever_the_submitters_clock_said(
    store: Store, off: float
) -> None:
    record: Any = SimpleNamespace(
        run="train-1", cloud="aws", submitted_at=format_time(BEGUN + timedelta(seconds=off))
    )
    clock = Clock()
    clock.seconds = 100.0
    in_time = InTime(store, record, RELAXED, clock, age=100.0)
    clock.seconds = 16 * HOURS - 360 - 60
    step = in_time.search()
    assert isinstance(step(OFFERS, refused(SPOT, seconds=1e9), -120, PATIENCE), Wait)
    assert step(OFFERS, refused(SPOT, seconds=1e9), 30, PATIENCE) == Ask((OFFERS[3],))
