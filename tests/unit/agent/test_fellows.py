"""What several nodes make of each other's ends: pure, and by a store in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dstack_cloud.machine.agent import fellows as fellows_of
from dstack_cloud.machine.agent import folders
from dstack_cloud.machine.agent.control import Control
from dstack_cloud.machine.agent.fellows import Fellows, own_artifacts, whole
from dstack_cloud.machine.agent.store import FolderStore

RETRY = {"on": ["interruption", "3"], "within": None}


def job(node: int = 0, nodes: int = 2, **more: Any) -> dict[str, Any]:
    timers = {"heartbeat": 20, "no_job": 60}
    return {
        "run": "train-1",
        "attempt": 1,
        "node": node,
        "nodes": nodes,
        "retry": None,
        "timers": timers,
        **more,
    }


def end(state: str = "done", code: int | None = 0, **more: Any) -> dict[str, Any]:
    return {
        "state": state,
        "reason": "exited",
        "exit_code": code,
        "message": None,
        "hint": None,
        "ended_at": "2026-11-24T20:00:00Z",
        "artifacts": [],
        "retry": False,
        **more,
    }


def failure(node: int, reason: str = "exited", code: int | None = 3) -> dict[str, Any]:
    told = {"state": "failed", "reason": reason, "exit_code": code, "message": None, "hint": None}
    return {"node": node, **told}


def test_all_well_is_well() -> None:
    found = whole(job(), end(), {1: end()}, None, 1.0)
    assert (found["state"], found["exit_code"], found["retry"]) == ("done", 0, False)
    assert [one["node"] for one in found["nodes"]] == [0, 1]


def test_the_first_that_fails_gives_the_exit_code() -> None:
    stopped = end("stopped", 143, reason="fellow")
    found = whole(job(), stopped, {1: end("failed", 3)}, failure(1), 1.0)
    assert (found["state"], found["exit_code"]) == ("failed", 3)
    assert found["message"] == "node-1: exit 3"


@pytest.mark.parametrize(
    ("reason", "code", "again"),
    [("interrupted", None, True), ("exited", 3, True), ("exited", 4, False)],
)
def test_the_workflows_rule_decides_about_another_attempt(
    reason: str, code: int | None, again: bool
) -> None:
    asked = job(retry=RETRY)
    found = whole(asked, end("stopped", 143, reason="fellow"), {}, failure(1, reason, code), 1.0)
    assert found["retry"] is again


def test_a_node_that_is_lost_is_told_and_never_taken_for_done() -> None:
    found = whole(job(nodes=3, retry=RETRY), end(), {1: end()}, None, 1.0)
    assert (found["state"], found["reason"], found["retry"]) == ("failed", "interrupted", True)
    assert found["nodes"][2]["state"] == "lost"


def test_artifacts_are_told_with_their_nodes() -> None:
    stored = [{"path": "out", "files": 1, "bytes": 2, "stored": True, "error": None}]
    found = whole(job(), end(artifacts=stored), {1: end(artifacts=stored)}, None, 1.0)
    assert [one["path"] for one in found["artifacts"]] == ["out", "node-1/out"]
    assert own_artifacts(job(), found["artifacts"]) == stored
    assert own_artifacts(job(node=1), found["artifacts"]) == []


def test_where_things_are() -> None:
    assert folders.own(job()) == "runs/train-1/attempts/1/"
    assert folders.own(job(node=2, nodes=3)) == "runs/train-1/attempts/1/nodes/2/"
    assert folders.artifacts(job(node=1)) == "artifacts/train-1/node-1/"
    assert folders.of_another(job(), "node-1/out/a")
    assert not folders.of_another(job(), "node-one/a")
    # A run on one machine may call its own folder so.
    assert not folders.of_another(job(nodes=1), "node-1/out/a")


class Told:
    """A status that remembers."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {"notice": None}

    def get(self, name: str) -> Any:
        return self.fields[name]

    def update(self, **fields: Any) -> None:
        self.fields.update(fields)


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(fellows_of, "time", found)
    return found


def node(store: FolderStore, number: int, nodes: int = 2) -> tuple[Fellows, Control, Told]:
    control, status = Control(), Told()
    return Fellows(store, job(number, nodes), control, status), control, status  # type: ignore[arg-type]


def test_a_failure_is_told_once_and_stops_the_others(tmp_path: Any, clock: Clock) -> None:
    store = FolderStore(str(tmp_path))
    first, own, _ = node(store, 1)
    other, control, status = node(store, 0)
    notice = {"at": "a", "action": "terminate", "by": "b"}
    first.tell(end("failed", None, reason="interrupted"), notice)
    other.tell(end("failed", 5))
    first.look()
    other.look()
    assert other.failure is not None
    assert (other.failure["node"], other.failure["reason"]) == (1, "interrupted")
    assert control.cause == "fellow"
    # Who follows node 0 has the next machines launched at once.
    assert status.fields["notice"] == {**notice, "node": 1}
    assert own.cause is None


def test_silence_is_measured_by_the_own_clock(tmp_path: Any, clock: Clock) -> None:
    store = FolderStore(str(tmp_path))
    watching, control, _ = node(store, 0)
    folder = folders.of_node(job(), 1)
    store.put(folder + "status.json", b"1")
    for moment, words in ((0, b"1"), (15, b"2"), (34, b"2")):
        clock.now = moment
        store.put(folder + "status.json", words)
        watching.look()
    assert control.cause is None
    clock.now = 46
    watching.look()
    assert control.cause == "fellow"
    assert watching.lost == {1}
    told = json.loads(store.get("runs/train-1/attempts/1/failure.json") or b"")
    assert (told["node"], told["reason"]) == (1, "interrupted")


def test_one_that_was_never_seen_may_wait_for_its_job(tmp_path: Any, clock: Clock) -> None:
    watching, control, _ = node(FolderStore(str(tmp_path)), 1)
    clock.now = 79
    watching.look()
    assert control.cause is None
    assert not watching.speaks
    clock.now = 91
    watching.look()
    assert control.cause == "fellow"
    # Nobody else will tell the attempt's end.
    assert watching.speaks


def test_one_that_has_ended_well_is_silent_and_not_lost(tmp_path: Any, clock: Clock) -> None:
    store = FolderStore(str(tmp_path))
    watching, control, _ = node(store, 0)
    folder = folders.of_node(job(), 1)
    store.put(folder + "status.json", b"1")
    store.put(folder + "end.json", json.dumps(end()).encode())
    watching.look()
    clock.now = 500
    watching.look()
    assert control.cause is None
    assert watching.ends() == {1: end()}


def test_one_whose_machine_is_gone_is_not_waited_for(tmp_path: Any, clock: Clock) -> None:
    store = FolderStore(str(tmp_path))
    watching, control, _ = node(store, 0)
    told = {**failure(1, "interrupted", None), "lost": True}
    store.put("runs/train-1/attempts/1/failure.json", json.dumps(told).encode())
    assert watching.ends() == {}
    assert control.cause == "fellow"
