"""A look for spot beside a machine that works: what is on record and what runs afterwards."""

from __future__ import annotations

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
from dstack_cloud.config import Timers
from dstack_cloud.errors import UnreachableError
from dstack_cloud.lifecycle.follow import Following
from dstack_cloud.lifecycle.look import Look, look_for_spot
from dstack_cloud.resources import Offer, ZonePrice
from dstack_cloud.spec import ContainerSpec
from dstack_cloud.state import attempts, keys, stops
from dstack_cloud.storage.base import Store
from dstack_cloud.storage.open import open_store

RUN = "train-1"
OFFER = Offer(
    "aws",
    "r1",
    "m",
    4,
    16,
    None,
    True,
    Decimal("0.3"),
    Decimal(1),
    (ZonePrice("r1a", Decimal("0.3")),),
)
SPOT = Machine("aws", "r1", "i-2", "m", MachineState.STARTING, zone="r1a", spot=True)
WORKS = Machine("aws", "r1", "i-1", "m", MachineState.RUNNING, spot=False)


class Cloud:
    name = "aws"

    def __init__(self, machine: Machine | None = SPOT) -> None:
        self.machine = machine
        self.asked: list[int] = []
        self.ended: list[str] = []
        self.meanwhile: Any = None

    def launch(self, request: Any) -> LaunchAnswer:
        self.asked.append(request.attempt)
        if self.meanwhile is not None:
            self.meanwhile()
        short = LaunchFailure(
            FailureKind.CAPACITY, Scope.OFFER, "Short", "m", OFFER, "r1a", retry_after=600
        )
        return LaunchAnswer(self.machine, () if self.machine else (short,))

    def terminate(self, region: str, machines: list[str]) -> None:
        self.ended += machines


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = open_store(str(tmp_path), region=None, profile=None)
    attempts.claim_attempt(found, RUN, 1, {"at": "2026-01-31T09:00:00Z"})
    return found


def look(store: Store, cloud: Cloud) -> Look:
    record: Any = SimpleNamespace(
        run=RUN,
        container=ContainerSpec("ubuntu"),
        request=SimpleNamespace(disk=None, max_price=None),
        max_duration=None,
        max_cost=None,
        wait=0,
        retry=None,
        deadline=None,
        on_demand_after=None,
        submitted_at="2026-01-31T09:00:00Z",
    )
    tools: Any = SimpleNamespace(
        store=store,
        cloud=cloud,
        reach=SimpleNamespace(public_key=lambda: "ssh-ed25519 AAAA ada"),
        timers=Timers(),
        owner="ada",
        provisioning={},
        endpoints={},
    )
    going: Any = SimpleNamespace(record=record, private=lambda: None)
    return look_for_spot(tools, going, Following(RUN, 1, WORKS, "key"), [OFFER], "it is cheaper")


def moved(store: Store) -> bool:
    return store.get(keys.move(RUN, 1)) is not None


def test_a_machine_is_the_next_attempts_and_the_one_that_works_is_asked_to_end(store):
    cloud = Cloud()
    held = look(store, cloud).held
    assert held is not None
    assert held.launched is not None
    held.launched.claim.close()
    assert (held.attempt, held.launched.machine, cloud.asked) == (2, SPOT, [2])
    assert moved(store)
    recorded = attempts.read_machine(store, RUN, 2)
    assert recorded is not None
    assert recorded["id"] == "i-2"
    assert cloud.ended == []


def test_without_a_machine_nothing_is_changed_and_others_are_told(store):
    cloud = Cloud(None)
    found = look(store, cloud)
    assert found.held is None
    assert [one.code for one in found.failures] == ["Short"]
    assert not moved(store)
    assert attempts.latest_attempt(store, RUN) == 1
    assert [item.key.split("/")[3] for item in store.list(keys.shortages("aws"))] == ["r1a"]


def end(retry: bool) -> dict[str, Any]:
    return {"state": "done", "reason": "exited", "retry": retry}


def test_a_machine_that_comes_too_late_is_ended_at_once(store):
    for change in (
        lambda: attempts.record_end(store, RUN, 1, end(retry=False)),
        lambda: stops.request_stop(store, RUN, abort=False, by="bob"),
    ):
        cloud = Cloud()
        cloud.meanwhile = change
        assert look(store, cloud).held is None
        assert cloud.ended == ["i-2"]
    assert attempts.latest_attempt(store, RUN) == 1
    assert not moved(store)


def test_where_another_client_was_quicker_its_attempt_goes_on(store):
    cloud = Cloud()
    cloud.meanwhile = lambda: attempts.claim_attempt(store, RUN, 2, {"by": "bob"})
    held = look(store, cloud).held
    assert held is not None
    assert (held.attempt, held.launched) == (2, None)
    assert cloud.ended == ["i-2"]


def test_a_cloud_out_of_reach_is_a_look_that_found_nothing(store):
    cloud = Cloud()

    def fails() -> None:
        raise UnreachableError("nobody answers")

    cloud.meanwhile = fails
    assert look(store, cloud).held is None
    assert not moved(store)
