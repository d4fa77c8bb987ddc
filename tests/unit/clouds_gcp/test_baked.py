"""Images of our own on Google Cloud: what is read of them, and which a launch takes."""

from __future__ import annotations

import json
import time
from concurrent.futures import Future
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from dstack_cloud.clouds.base import MachineImage
from dstack_cloud.clouds.gcp import baked
from dstack_cloud.clouds.gcp.images import Image, Recipe
from dstack_cloud.clouds.gcp.prepare import Prepared
from dstack_cloud.errors import ThrottledError
from dstack_cloud.machine_images import Contents, base_of
from dstack_cloud.units import GIB

CPU = Recipe("ubuntu-os-cloud/family/ubuntu-2404-lts-amd64", ready=False)
OLD = Recipe("ubuntu-os-cloud/family/ubuntu-2204-lts", ready=False, driver="535")


def facts(name: str = "own-1", made: str = "2026-11-24T12:31:00.000-08:00", **more: Any) -> Any:
    how = more.pop("how", CPU)
    told = {"base": how.source, "driver": how.driver, "contents": {"docker": "28.1"}}
    return {
        "name": name,
        "status": "READY",
        "creationTimestamp": made,
        "diskSizeGb": "20",
        "description": json.dumps(told),
        **more,
    }


def test_an_image_as_compute_engine_describes_it() -> None:
    found = baked.as_baked(facts(how=OLD))
    assert (found.region, found.id, found.state, found.size) == (None, "own-1", "ready", 20 * GIB)
    assert found.made_at == datetime(2026, 11, 24, 20, 31, tzinfo=UTC)
    assert found.base == base_of(OLD)
    assert found.contents == Contents(docker="28.1")


def test_a_description_that_somebody_changed_tells_nothing() -> None:
    for words in ("mine", "[]", "{}", '{"base": "x", "driver": null, "contents": 1}'):
        found = baked.as_baked(facts(description=words))
        assert (found.base, found.contents) == (None, Contents())


def test_the_newest_that_is_ready_takes_the_place_of_its_base() -> None:
    items = [
        facts("old", "2026-11-01T00:00:00.000-08:00"),
        facts("new", "2026-11-20T00:00:00.000-08:00"),
        facts("half", "2026-11-24T00:00:00.000-08:00", status="PENDING"),
    ]
    sessions: Any = SimpleNamespace(
        project=lambda: "p", call=lambda *words, **query: {"items": items}
    )
    [(base, image)] = baked.replacements(sessions).items()
    assert base == base_of(CPU)
    assert image.machine == MachineImage("projects/p/global/images/new", ready=True)


def settled(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    if isinstance(value, BaseException):
        future.set_exception(value)
    else:
        future.set_result(value)
    return future


def test_a_launch_takes_it_and_else_the_stock_image() -> None:
    own, stock = (Image(MachineImage(name, ready=True), GIB) for name in ("own", "stock"))

    def prepared(found: Any) -> Prepared:
        both = settled({CPU: stock, OLD: stock})
        none: Any = settled(())
        return Prepared(
            "r", time.monotonic(), frozenset((CPU, OLD)), both, none, None, settled(found)
        )

    ready = prepared({base_of(CPU): own})
    assert (ready.images(), ready.uses_baked()) == ({CPU: own, OLD: stock}, True)
    for nothing in ({}, ThrottledError("busy")):
        ready = prepared(nothing)
        assert (ready.images(), ready.uses_baked()) == ({CPU: stock, OLD: stock}, False)
