"""`retry.within` by the store's clock: neither the submitter's nor the reader's decides."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from dstack_cloud.lifecycle.own_clock import by_own_clock
from dstack_cloud.lifecycle.record import RunRecord
from dstack_cloud.resources import ResourceRequest
from dstack_cloud.retry import Retry
from dstack_cloud.spec import ContainerSpec
from dstack_cloud.state import keys
from dstack_cloud.storage.base import Store
from dstack_cloud.storage.local import open_local
from dstack_cloud.units import format_time, parse_time, utc_now

RUN = "train-7"


def _submitted(store: Store, folder: Path, *, ago: float, ahead: float) -> RunRecord:
    """So many seconds ago, by a client whose clock is so many seconds ahead."""
    store.create(keys.run(RUN), b"{}")
    then = time.time() - ago
    os.utime(folder / keys.run(RUN), (then, then))
    told = utc_now() + timedelta(seconds=ahead - ago)
    return RunRecord(
        run=RUN,
        workflow="train",
        provider="docker",
        submitted_at=format_time(told),
        owner="me",
        cloud="local",
        request=ResourceRequest(),
        container=ContainerSpec("ubuntu", "/bin/sh", ("-c", "true")),
        retry=Retry(("interruption",), within=1800),
    )


@pytest.mark.parametrize("ahead", [-3600, 0, 3600])
@pytest.mark.parametrize(("ago", "goes_on"), [(60, True), (3000, False)])
def test_a_wrong_clock_neither_ends_a_run_nor_keeps_it(
    tmp_path: Path, ahead: float, ago: float, goes_on: bool
) -> None:
    store = open_local(str(tmp_path))
    record = by_own_clock(store, _submitted(store, tmp_path, ago=ago, ahead=ahead))
    assert record.outlives(1, utc_now()) is goes_on


def test_a_deadline_moves_along(tmp_path: Path) -> None:
    store = open_local(str(tmp_path))
    record = _submitted(store, tmp_path, ago=60, ahead=3600)
    until = format_time(parse_time(record.submitted_at) + timedelta(seconds=600))
    found = by_own_clock(store, replace(record, retry=None, deadline=until))
    assert found.deadline is not None
    assert (parse_time(found.deadline) - utc_now()).total_seconds() == pytest.approx(540, abs=5)


def test_without_a_limit_nothing_is_asked_of_the_store(tmp_path: Path) -> None:
    store = open_local(str(tmp_path))
    record = replace(_submitted(store, tmp_path, ago=60, ahead=3600), retry=None)
    assert by_own_clock(store, record) == record
    assert store.get(keys.clock(RUN)) is None
