"""The nodes of an attempt on several machines, and what they tell each other through the store.

The first that does not end well says so in ``failure.json``, which is made once; the others then
stop their containers, with grace, and save their work. Node 0 ends last: it waits for the others'
ends and speaks for the attempt. Node 0 looks after the others' signs of life, they look after its.
Where node 0 is lost, the others put the attempt's end on record, once all that are left have ended.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import folders
from .control import Control
from .errors import StoreError
from .note import note
from .outcome import goes_on, outcome
from .status import Status
from .store import Store
from .times import now

LOOK = 2.0
_SIGNS = 10.0
_TRY = 1.0
LOST = "machine-lost"


class Fellows:
    """What this node knows of the others."""

    def __init__(
        self, store: Store, job: Mapping[str, Any], control: Control, status: Status
    ) -> None:
        self._store = store
        self._job = job
        self._control = control
        self._status = status
        self._node = folders.node_of(job)
        self._begun = time.monotonic()
        # The status a node had when it was last seen to change, and when that was (monotonic).
        self._seen: dict[int, tuple[bytes | None, float]] = {}
        self._looked = float("-inf")
        self.lost: set[int] = set()
        self.failure: dict[str, Any] | None = None

    @property
    def _others(self) -> list[int]:
        return [node for node in range(int(self._job["nodes"])) if node != self._node]

    @property
    def speaks(self) -> bool:
        """Whether the attempt's end is this node's to tell."""
        return self._node == 0 or 0 in self.lost

    def tell(
        self, result: Mapping[str, Any], notice: object = None, node: int | None = None
    ) -> None:
        """Say how this ``node`` (or another) failed, unless that is said of one. StoreError."""
        told = {
            "node": self._node if node is None else node,
            "notice": notice,
            **{key: result.get(key) for key in ("state", "reason", "exit_code", "message", "hint")},
        }
        self._store.create(folders.attempt(self._job) + "failure.json", json.dumps(told).encode())

    def insist(self, result: Mapping[str, Any], notice: object = None) -> None:
        """`tell`, some times if need be."""
        for _ in range(5):
            try:
                self.tell(result, notice)
                return
            except StoreError as error:
                note(f"failure: {error}")
                if self._control.late:
                    return
                time.sleep(_TRY)

    def taken(self, start: Callable[..., Any], notice: object) -> None:
        """The cloud takes this node back: say so before its container has ended, for the others
        have no more time than this one."""
        start("failure", lambda: self.insist(outcome(None, "interrupted"), notice))

    def look(self) -> None:
        """Has another node failed, or given no sign of life for too long? StoreError."""
        if self.failure is None:
            data = self._store.get(folders.attempt(self._job) + "failure.json")
            if data is not None:
                self.failure = json.loads(data)
                if self.failure.get("lost"):
                    # Whoever saw its machine gone says so: it need not be waited for.
                    self.lost.add(int(self.failure["node"]))
        if self.failure is not None and self.failure["node"] != self._node:
            if self.failure.get("notice") and self._status.get("notice") is None:
                # Whoever follows has another set of machines launched meanwhile.
                self._status.update(notice={**self.failure["notice"], "node": self.failure["node"]})
            self._control.request("fellow")
        if time.monotonic() - self._looked >= _SIGNS:
            self._looked = time.monotonic()
            for node in self._others if self._node == 0 else [0]:
                self._look_after(node)

    def _look_after(self, node: int) -> None:
        if node in self.lost:
            return
        folder = folders.of_node(self._job, node)
        found = self._store.get(folder + "status.json")
        moment = time.monotonic()
        known, since = self._seen.get(node, (None, self._begun))
        if found != known:
            known, since = found, moment
        self._seen[node] = (known, since)
        timers = self._job["timers"]
        # One that was never seen may still be waiting for its job.
        patience = timers["heartbeat"] + (timers["no_job"] if found is None else 0)
        if moment - since <= patience or self._store.get(folder + "end.json") is not None:
            return
        self.lost.add(node)
        message = f"node-{node} has given no sign of life for {int(moment - since)} seconds"
        note(message)
        lost = {"state": "failed", "reason": "interrupted", "message": message}
        self.tell(lost, node=node)
        self._control.request("fellow")

    def ends(self) -> dict[int, Any]:
        """How the others ended, once all have that give signs of life."""
        ends: dict[int, Any] = {}
        while not self._control.without_grace:
            try:
                self.look()
                for node in self._others:
                    if node not in ends and node != 0:
                        data = self._store.get(folders.of_node(self._job, node) + "end.json")
                        if data is not None:
                            ends[node] = json.loads(data)
            except StoreError as error:
                note(f"the other nodes' ends: {error}")
            left = [n for n in self._others if n not in ends and n not in self.lost and n != 0]
            if not left or self._control.late:
                break
            self._control.over.wait(_TRY)
        return ends


def whole(
    job: Mapping[str, Any],
    own: Mapping[str, Any],
    others: Mapping[int, Mapping[str, Any]],
    failure: Mapping[str, Any] | None,
    seconds: float,
) -> dict[str, Any]:
    """The attempt's end of this node's and the others', those that are known: pure.

    It ended well where all did. Else it ended as the first that failed did, whose exit code is the
    run's. ``seconds`` is how long the attempt has lasted.
    """
    ends = {**others, folders.node_of(job): own}
    nodes = range(int(job["nodes"]))
    end = dict(own)
    missing = [node for node in nodes if node not in ends]
    failed = [node for node in nodes if node in ends and ends[node]["state"] != "done"]
    if failure is not None:
        end.update({key: failure[key] for key in ("state", "reason", "exit_code", "hint")})
        words = failure["message"] or _words(failure)
        end["message"] = words if _names_node(words) else f"node-{failure['node']}: {words}"
    elif failed and own["state"] == "done":
        first = ends[failed[0]]
        end.update({key: first[key] for key in ("state", "reason", "exit_code", "hint")})
        end["message"] = f"node-{failed[0]}: {first['message'] or _words(first)}"
    elif missing and own["state"] == "done":
        end.update(state="failed", reason="interrupted", exit_code=None, hint=None)
        end["message"] = f"node-{missing[0]} was lost"
    if own["reason"] not in ("fenced",):
        end["retry"] = goes_on(end, job["retry"], seconds)
    end["artifacts"] = [
        {**one, "path": one["path"] if node == 0 else f"node-{node}/{one['path']}"}
        for node in nodes
        if node in ends
        for one in ends[node]["artifacts"]
    ]
    told = ("state", "reason", "exit_code", "ended_at", "log_bytes", "traffic")
    end["nodes"] = [
        {"node": node, **{key: ends[node].get(key) for key in told}}
        if node in ends
        else {"node": node, "state": "lost", "reason": LOST, "exit_code": None, "ended_at": None}
        for node in nodes
    ]
    end["ended_at"] = now()
    return end


def _words(end: Mapping[str, Any]) -> str:
    code = end["exit_code"]
    return str(end["reason"]) if code is None else f"exit {code}"


def _names_node(words: str) -> bool:
    return words.startswith("node-")


def own_artifacts(job: Mapping[str, Any], told: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Of what an attempt's end says of artifacts, that which concerns node 0: pure. Of another
    node's it cannot be told what of it was node 0's, restored."""
    if folders.node_of(job):
        return []
    return [one for one in told if not folders.of_another(job, one["path"])]
