"""What was not to be had a while ago is asked for last, and only for a while."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from dstack_cloud.clouds.base import FailureKind, LaunchFailure, Scope
from dstack_cloud.lifecycle.memory import ranked_last, shortages_in
from dstack_cloud.resources import Offer, ZonePrice
from dstack_cloud.state.shortages import Shortage, recall, remember
from dstack_cloud.storage.open import open_store


def offer(machine: str, spot: bool = True, zones: str = "ab") -> Offer:
    prices = tuple(ZonePrice(zone, Decimal(1 + at)) for at, zone in enumerate(zones))
    return Offer("aws", "r1", machine, 4, 16, None, spot, Decimal(1), Decimal(3), prices)


def short(machine: str, zone: str, spot: bool = True, until: int = 100) -> Shortage:
    return Shortage("r1", zone, machine, spot, until)


def order(offers: list[Offer]) -> list[str]:
    kinds = {True: "", False: "!"}
    return [
        f"{one.machine}{kinds[one.spot]}-{''.join(zone.zone for zone in one.zones)}"
        for one in offers
    ]


def test_short_zones_come_last_at_their_own_price():
    found = ranked_last([offer("s"), offer("l")], [short("s", "a")])
    assert order(found) == ["s-b", "l-ab", "s-a"]
    assert [one.price for one in found] == [Decimal(2), Decimal(1), Decimal(1)]


def test_nothing_is_left_out():
    everything = [short(machine, zone) for machine in "sl" for zone in "ab"]
    assert order(ranked_last([offer("s"), offer("l")], everything)) == ["s-ab", "l-ab"]


def test_spot_stays_before_on_demand():
    offers = [offer("s"), offer("s", spot=False)]
    assert order(ranked_last(offers, [short("s", "a"), short("s", "b")])) == ["s-ab", "s!-ab"]
    assert order(ranked_last(offers, [short("s", "a", spot=False)])) == ["s-ab", "s!-b", "s!-a"]


def test_only_missing_capacity_is_remembered():
    def failure(kind: FailureKind, zone: str | None = "a", seconds: int = 300) -> LaunchFailure:
        return LaunchFailure(kind, Scope.OFFER, "C", "m", offer("s"), zone, seconds)

    found = shortages_in(
        [
            failure(FailureKind.CAPACITY),
            failure(FailureKind.CAPACITY, "b", 86400),
            failure(FailureKind.CAPACITY, None),
            failure(FailureKind.PRICE),
            failure(FailureKind.QUOTA),
        ],
        1000.5,
    )
    assert found == [short("s", "a", until=1300), short("s", "b", until=4600)]


def test_told_to_whoever_comes_next(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), region=None, profile=None)
    kept = [short("g4dn.xlarge", "us-east-1a", until=1000), short("c5", "b", False, 900)]
    remember(store, "aws", kept)
    remember(store, "aws", kept)
    remember(store, "gcp", [short("n1", "x", until=5000)])
    assert sorted(recall(store, "aws", 800), key=str) == sorted(kept, key=str)
    # What is over is forgotten, and its object removed.
    assert recall(store, "aws", 900) == kept[:1]
    assert len(list(store.list("capacity/aws/"))) == 1
    store.put("capacity/aws/strange", b"")
    assert recall(store, "aws", 999) == kept[:1]
    assert recall(store, "aws", 1000) == []
    assert len(list(store.list("capacity/"))) == 1
