from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dstack_cloud.errors import NotFoundError
from dstack_cloud.state import keys
from dstack_cloud.state.runs import (
    RunRow,
    RunState,
    find_run,
    listing,
    move,
    read_run,
    settle,
    settled,
    submit,
    tidy,
)
from dstack_cloud.storage.base import ObjectInfo, StoredObject
from dstack_cloud.storage.local import LocalStore

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class CountingStore(LocalStore):
    """Counts its requests."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.gets: list[str] = []
        self.lists: list[str] = []

    def get(self, key: str) -> StoredObject | None:
        self.gets.append(key)
        return super().get(key)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        self.lists.append(prefix)
        return super().list(prefix, after)


class DyingStore(LocalStore):
    """Its client is gone after a number of writes."""

    def __init__(self, root: Path, writes: int) -> None:
        super().__init__(root)
        self.writes = writes

    def _write(self) -> None:
        self.writes -= 1
        if self.writes < 0:
            raise KeyboardInterrupt

    def put(self, key: str, data: bytes) -> None:
        self._write()
        super().put(key, data)

    def create(self, key: str, data: bytes) -> bool:
        self._write()
        return super().create(key, data)

    def delete(self, keys: Iterable[str]) -> None:
        self._write()
        super().delete(keys)


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    return CountingStore(tmp_path)


def add(store: LocalStore, workflow: str = "train", **record: object) -> str:
    return submit(store, workflow, lambda name: record)


def indexed(store: LocalStore) -> list[str]:
    return [row.key for row in store.list("index/")]


def test_runs_are_numbered_by_workflow(store: CountingStore) -> None:
    names = [add(store), add(store), add(store, "train-2")]
    assert names == ["train-1", "train-2", "train-2-1"]
    assert add(store) == "train-3"
    assert add(store, "tra") == "tra-1"


def test_numbers_go_on_whatever_became_of_the_runs(store: CountingStore) -> None:
    for number in range(1, 12):
        settle(store, add(store), list(RunState)[number % 9])
    assert add(store) == "train-12"


def test_the_record_is_kept_with_its_claim(store: CountingStore) -> None:
    name = add(store, args=["--fast"], max_cost=None)
    record = read_run(store, name)
    assert record["run"] == name
    assert record["workflow"] == "train"
    assert record["args"] == ["--fast"]
    other = read_run(store, add(store, args=["--fast"], max_cost=None))
    assert other["claim"] != record["claim"]


def test_the_record_is_made_for_the_name_that_is_won(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put(keys.run("train-1"), b"{}")
    name = submit(store, "train", lambda name: {"container": f"dstack-{name}"})
    assert name == "train-2"
    assert read_run(store, name)["container"] == "dstack-train-2"


def test_a_move_can_be_repeated(store: CountingStore) -> None:
    name = add(store)
    for _ in range(2):
        move(store, name, RunState.SUBMITTED, RunState.LAUNCHING)
        assert indexed(store) == ["index/launching/train-1"]
    move(store, name, RunState.LAUNCHING, RunState.LAUNCHING)
    assert find_run(store, name).state is RunState.LAUNCHING
    settle(store, name, RunState.DONE)
    assert indexed(store) == ["index/done/train-1"]


def test_a_client_that_dies_while_moving_leaves_the_run_to_be_found(tmp_path: Path) -> None:
    add(LocalStore(tmp_path))
    for writes, expected in [(0, "submitted"), (1, "done"), (2, "done")]:
        dying = DyingStore(tmp_path, writes)
        try:
            move(dying, "train-1", RunState.SUBMITTED, RunState.DONE)
        except KeyboardInterrupt:
            assert writes < 2
        (row,) = listing(LocalStore(tmp_path))
        assert row.state == expected


def test_a_client_that_dies_while_submitting_leaves_no_trap(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        add(DyingStore(tmp_path, 1), x=1)
    store = LocalStore(tmp_path)
    assert find_run(store, "train-1").state is RunState.SUBMITTED
    assert add(store) == "train-2"
    assert read_run(store, "train-1")["x"] == 1


def test_what_interrupted_moves_of_ended_runs_left_is_cleared(store: CountingStore) -> None:
    ended, live = add(store), add(store, "other")
    for state in (RunState.RUNNING, RunState.LOST, RunState.DONE):
        move(store, ended, None, state)
    move(store, live, None, RunState.LAUNCHING)
    tidy(store)
    assert indexed(store) == [
        f"index/done/{ended}",
        f"index/launching/{live}",
        f"index/submitted/{live}",
    ]


def row(state: RunState, seconds: int) -> RunRow:
    return RunRow("train-1", state, NOON + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row(RunState.RUNNING, 5), row(RunState.LAUNCHING, 0)], RunState.RUNNING),
        ([row(RunState.RUNNING, 0), row(RunState.LAUNCHING, 0)], RunState.RUNNING),
        ([row(RunState.RECOVERING, 0), row(RunState.LAUNCHING, 9)], RunState.LAUNCHING),
        ([row(RunState.STOPPING, 9), row(RunState.DONE, 0)], RunState.DONE),
        ([row(RunState.LOST, 9), row(RunState.FAILED, 0)], RunState.FAILED),
        ([row(RunState.LOST, 0), row(RunState.RUNNING, 9)], RunState.LOST),
    ],
)
def test_of_two_entries_one_is_true(rows: list[RunRow], expected: RunState) -> None:
    assert settled(rows)["train-1"].state is expected
    assert settled(reversed(rows))["train-1"].state is expected


def test_a_listing_is_the_latest_first_and_by_state(store: CountingStore) -> None:
    import os

    for number, state in enumerate([RunState.DONE, RunState.RUNNING, RunState.FAILED], 1):
        name = add(store)
        settle(store, name, state)
        moment = 1_700_000_000 + number
        os.utime(store.root / keys.index(state, name), (moment, moment))
    assert [row.run for row in listing(store)] == ["train-3", "train-2", "train-1"]
    assert [row.run for row in listing(store, [RunState.DONE])] == ["train-1"]
    assert listing(store)[0].workflow == "train"
    assert listing(store)[0].number == 3


def test_a_listing_is_cheap(store: CountingStore) -> None:
    for _ in range(6):
        settle(store, add(store), RunState.DONE)
    live = add(store, x=1)
    store.gets.clear()
    store.lists.clear()
    assert len(listing(store)) == 7
    assert store.gets == []
    assert len(store.lists) == len(RunState)
    rows = listing(store, records=True)
    assert store.gets == [keys.run(live)]
    records = {row.run: row.record for row in rows}
    assert records[live] is not None
    assert records[live]["x"] == 1
    assert records["train-1"] is None


def test_a_run_that_is_not_there_is_told_with_its_likes(store: CountingStore) -> None:
    for _ in range(11):
        add(store)
    assert find_run(store, "train-1").run == "train-1"
    for lookup in (find_run, read_run):
        with pytest.raises(NotFoundError, match=r"no run 'trian-1'.*did you mean 'train-1'"):
            lookup(store, "trian-1")


@pytest.mark.parametrize("name", ["train", "", "../train-1", "a/b-1", "train-x", "train-²"])
def test_what_is_no_name_is_not_found(store: CountingStore, name: str) -> None:
    with pytest.raises(NotFoundError):
        find_run(store, name)
    with pytest.raises(NotFoundError):
        read_run(store, name)
