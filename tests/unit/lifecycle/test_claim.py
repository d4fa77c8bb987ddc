"""The lease of a client that launches: renewed while it lives, lost for good once taken."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dstack_cloud.config import Timers
from dstack_cloud.lifecycle.claim import Claim, Lapse, TakenOverError
from dstack_cloud.state import keys, leases
from dstack_cloud.storage.base import Store
from dstack_cloud.storage.open import open_store

RUN, ATTEMPT, SECONDS = "train-1", 2, 20.0


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path), region=None, profile=None)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def claim(store: Store, *clocks: Clock, seconds: float = SECONDS) -> Claim:
    return Claim(store, RUN, ATTEMPT, "ada", seconds, clocks)


def version(store: Store) -> str | None:
    return leases.version(store, RUN, ATTEMPT)


def take(store: Store, seen: str | None) -> bool:
    return leases.take(store, RUN, ATTEMPT, seen, leases.new_claim(), by="bob")


def test_a_launch_that_is_quick_writes_nothing(store: Store) -> None:
    clock = Clock()
    mine = claim(store, clock)
    clock.now += 9
    assert mine.held()
    assert version(store) is None


def test_who_has_slept_asks_the_store(store: Store) -> None:
    awake, wall = Clock(), Clock()
    mine = claim(store, awake, wall)
    wall.now += 3600  # The other clock stood still.
    assert mine.held()
    assert version(store) is not None


@pytest.mark.parametrize("renewed", [False, True])
def test_who_finds_it_taken_has_lost_it_for_good(store: Store, renewed: bool) -> None:
    clock = Clock()
    mine = claim(store, clock)
    if renewed:
        clock.now += 11
        assert mine.held()
    assert take(store, version(store))
    clock.now += 11
    assert not mine.held()
    assert mine.gone()
    with pytest.raises(TakenOverError, match=f"attempt {ATTEMPT} of {RUN}"):
        mine.require()
    store.delete([keys.lease(RUN, ATTEMPT)])
    assert not mine.held()


def test_one_that_was_renewed_at_the_last_moment_is_not_taken(store: Store) -> None:
    clock = Clock()
    mine = claim(store, clock)
    seen = version(store)
    clock.now += 11
    assert mine.held()
    assert not take(store, seen)
    seen = version(store)
    clock.now += 11
    assert mine.held()
    assert version(store) != seen
    assert not take(store, seen)


@pytest.mark.parametrize("renewed", [False, True])
def test_of_many_takers_one_gets_it(store: Store, renewed: bool) -> None:
    if renewed:
        assert leases.renew(store, RUN, ATTEMPT, "holder", "ada")
    seen = version(store)
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda _: take(store, seen), range(8)))
    assert sum(won) == 1


def test_it_is_renewed_until_it_is_closed(store: Store) -> None:
    mine = Claim(store, RUN, ATTEMPT, "ada", 0.2)
    mine.keep()
    lapse, seen = Lapse(), set()
    while len(seen) < 4:
        seen.add(version(store))
        assert lapse.seconds(version(store)) < 30
    mine.close()


def test_a_lease_that_stands_still_lapses_by_the_watchers_own_clock() -> None:
    clock = Clock()
    lapse = Lapse(clock)
    clock.now += 100
    assert lapse.seconds(None) == 0  # The first look: how long it has been so is not known.
    clock.now += 19
    assert lapse.seconds(None) == 19
    assert lapse.seconds("one") == 0
    clock.now += 20
    assert lapse.seconds("one") == 20


def test_its_length_follows_the_heartbeat() -> None:
    assert Timers().lease == 20
    assert Timers(heartbeat=30).lease == 5
