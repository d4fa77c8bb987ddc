"""Looking for a machine: what is asked of the cloud, and what the store is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dstack_cloud.clouds.base import (
    FailureKind,
    LaunchAnswer,
    LaunchFailure,
    Machine,
    MachineState,
    Scope,
)
from dstack_cloud.errors import (
    DetachedError,
    NoCapacityError,
    PermissionDeniedError,
    QuotaError,
)
from dstack_cloud.lifecycle.capacity import Patience
from dstack_cloud.lifecycle.report import Silent
from dstack_cloud.lifecycle.seek import seek
from dstack_cloud.resources import Offer, ZonePrice
from dstack_cloud.state import attempts, documents, keys, shortages
from dstack_cloud.storage.open import open_store


def offer(machine: str, region: str = "r1", spot: bool = True) -> Offer:
    zones = (ZonePrice(f"{region}a", Decimal(1)), ZonePrice(f"{region}b", Decimal("1.1")))
    return Offer("aws", region, machine, 4, 16, None, spot, Decimal(1), Decimal(3), zones)


class Cloud:
    """Refuses what it is told to; time passes only while somebody pauses."""

    name = "aws"

    def __init__(self, until: dict[tuple[str, bool], float], kind: FailureKind) -> None:
        self.until = until
        self.kind = kind
        self.now = 0.0
        self.asked: list[tuple[float, list[str], int]] = []

    def ask(self, offers: Sequence[Offer], number: int) -> LaunchAnswer:
        self.asked.append((self.now, [one.machine for one in offers], number))
        failures = []
        for one in offers:
            if self.now >= self.until[(one.machine, one.spot)]:
                state = MachineState.STARTING
                machine = Machine("aws", one.region, "i-1", one.machine, state, spot=one.spot)
                return LaunchAnswer(machine, tuple(failures))
            failures += [
                LaunchFailure(self.kind, Scope.OFFER, "Short", "m", one, zone.zone)
                for zone in one.zones
            ]
        return LaunchAnswer(None, tuple(failures))

    def pause(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def store(tmp_path: Path) -> Any:
    return open_store(str(tmp_path), region=None, profile=None)


def search(
    store: Any,
    offers: Sequence[Offer],
    patience: Patience = Patience(),  # noqa: B008
    kind: FailureKind = FailureKind.CAPACITY,
    **until: float,
) -> tuple[Cloud, Machine]:
    times = {(one.machine, one.spot): until.get(one.machine, 1e9) for one in offers}
    cloud = Cloud(times, kind)
    tools: Any = SimpleNamespace(store=store, cloud=cloud, report=Silent(), late=[])
    found = seek(tools, "train-1", 1, offers, patience, cloud.ask, lambda: cloud.now, cloud.pause)
    return cloud, found


def test_one_request_for_all_of_a_region(store):
    cloud, found = search(store, [offer("s"), offer("l"), offer("s", "r2")], l=0)
    assert (found.machine, len(cloud.asked)) == ("l", 1)


def test_the_table_of_what_was_tried(store):
    with pytest.raises(NoCapacityError) as caught:
        search(store, [offer("s"), offer("l", "r2")])
    assert caught.value.exit_code == 69
    for line in ("r1a s spot Short", "r1b s spot Short", "r2a l spot Short"):
        assert line in caught.value.message
    assert "none of 2 offers" in caught.value.message
    assert "--wait" in (caught.value.hint or "")


def test_quotas_alone_are_told_as_such(store):
    with pytest.raises(QuotaError):
        search(store, [offer("s")], kind=FailureKind.QUOTA)


def test_waiting_pays(store):
    cloud, found = search(store, [offer("s")], Patience(wait=300), s=100)
    assert found.machine == "s"
    assert [at for at, _, _ in cloud.asked] == [0, 15, 45, 105]
    assert [number for _, _, number in cloud.asked] == [0, 1, 2, 3]


def test_on_demand_once_spot_was_looked_for_long_enough(store):
    offers = [offer("s"), offer("l", spot=False)]
    cloud, found = search(store, offers, Patience(on_demand_after=60), l=0)
    assert (found.machine, found.spot) == ("l", False)
    assert cloud.asked[-1][0] == 60


def test_the_next_run_asks_elsewhere_first(store):
    cloud, _ = search(store, [offer("s"), offer("s2", "r2")], s2=0)
    assert [names for _, names, _ in cloud.asked] == [["s"], ["s2"]]
    known = shortages.recall(store, "aws", time.time())
    assert {one.zone for one in known} == {"r1a", "r1b"}
    cloud, _ = search(store, [offer("s"), offer("s2", "r2")], s2=0)
    assert [names for _, names, _ in cloud.asked] == [["s2"]]
    # But what is short is still asked for where there is nothing else.
    cloud, found = search(store, [offer("s")], s=0)
    assert found.machine == "s"


def test_what_a_fleet_could_not_give_beside_its_machine_is_remembered(store):
    search(store, [offer("s"), offer("l")], l=0)
    known = shortages.recall(store, "aws", time.time())
    assert {(one.machine, one.zone) for one in known} == {("s", "r1a"), ("s", "r1b")}


def test_a_stop_ends_the_waiting(store):
    offers = [offer("s")]
    cloud = Cloud({("s", True): 1e9}, FailureKind.CAPACITY)

    def pause(seconds: float) -> None:
        cloud.now += seconds
        if cloud.now > 20:
            attempts.record_end(store, "train-1", 1, {"state": "stopped"})

    tools: Any = SimpleNamespace(store=store, cloud=cloud, report=Silent(), late=[])
    with pytest.raises(DetachedError):
        seek(tools, "train-1", 1, offers, Patience(wait=3600), cloud.ask, lambda: cloud.now, pause)
    assert cloud.now < 30


class Regions:
    """Answers for a region once it may; each has a machine, or raises."""

    name = "aws"

    def __init__(self, **answers: Machine | Exception) -> None:
        self.answers = answers
        self.may = {region: threading.Event() for region in answers}
        self.asked: list[str] = []
        self.ended: list[str] = []

    def ask(self, offers: Sequence[Offer], number: int) -> LaunchAnswer:
        region = offers[0].region
        self.asked.append(region)
        assert self.may[region].wait(30)
        answer = self.answers[region]
        if isinstance(answer, Exception):
            raise answer
        return LaunchAnswer(answer)

    def terminate(self, region: str, ids: Sequence[str]) -> None:
        self.ended += [f"{region} {one}" for one in ids]


def machine(region: str) -> Machine:
    return Machine("aws", region, f"i-{region}", "s", MachineState.STARTING, spot=True)


def look(
    store: Any, cloud: Regions, overlap: float = 60.0
) -> tuple[Machine, list[threading.Thread]]:
    tools: Any = SimpleNamespace(store=store, cloud=cloud, report=Silent(), late=[])
    offers = [offer("s", region) for region in cloud.answers]
    return seek(tools, "train-1", 1, offers, Patience(overlap=overlap), cloud.ask), tools.late


def attempts_late(store: Any) -> list[dict[str, Any]]:
    document = documents.read(store, keys.late("train-1", 1))
    return [] if document is None else list(document["machines"])


def test_the_first_machine_wins_and_a_late_one_is_ended(store):
    cloud = Regions(r1=machine("r1"), r2=machine("r2"))
    cloud.may["r2"].set()
    found, late = look(store, cloud, 0.05)
    assert (found.id, cloud.asked, cloud.ended) == ("i-r2", ["r1", "r2"], [])
    cloud.may["r1"].set()
    (thread,) = late
    thread.join(30)
    assert cloud.ended == ["r1 i-r1"]
    (late,) = attempts_late(store)
    assert (late["id"], late["ended_at"] is not None) == ("i-r1", True)


def test_a_region_that_answers_soon_is_asked_alone(store):
    cloud = Regions(r1=machine("r1"), r2=machine("r2"))
    cloud.may["r1"].set()
    assert (look(store, cloud)[0].id, cloud.asked) == ("i-r1", ["r1"])


def test_an_error_of_one_region_waits_for_the_machine_of_another(store):
    cloud = Regions(r1=machine("r1"), r2=PermissionDeniedError("not in r2"))
    cloud.may["r2"].set()
    threading.Timer(0.5, cloud.may["r1"].set).start()
    assert (look(store, cloud, 0.05)[0].id, cloud.ended) == ("i-r1", [])


def test_an_error_ends_the_search(store):
    cloud = Regions(r1=PermissionDeniedError("not here"), r2=machine("r2"))
    cloud.may["r1"].set()
    with pytest.raises(PermissionDeniedError):
        look(store, cloud)
    assert cloud.asked == ["r1"]
