"""After the container: log and artifacts into the store, then the end's record, then the index."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from . import disk, folders
from .control import Control
from .errors import Interrupted, StoreError
from .fellows import Fellows, whole
from .fence import fenced
from .final import PATIENCE, Final
from .note import note
from .outcome import goes_on
from .paths import Paths, read_json, write_json
from .ship import Shipper
from .status import Status
from .store import Store
from .sync import Sync
from .times import now, unix

# What the log may take before the artifacts when there is little time.
_SHORT = 5.0
_LIVE = ("submitted", "launching", "running", "recovering", "stopping")


def finish(
    result: Mapping[str, Any],
    *,
    job: Mapping[str, Any],
    paths: Paths,
    control: Control,
    store: Store,
    status: Status,
    shipper: Shipper,
    sync: Sync,
    clean_up: Callable[[], None],
    fellows: Fellows | None = None,
) -> None:
    """Everything between the container's end and the machine's; ``clean_up`` comes just before
    the end is told. With ``fellows`` the machine is one node of several."""
    status.phase("saving")
    _insist(shipper.ship, control, "the log", PATIENCE if control.until is None else _SHORT)
    end = dict(result)
    ran = end.pop("ran")
    sync.close()
    artifacts: list[dict[str, Any]] = []
    if ran and not control.without_grace:
        try:
            artifacts = Final(store, job, paths, control, sync).run()
        except Interrupted:
            artifacts = []
    status.phase("ending")
    _insist(shipper.ship, control, "the log's last part")
    _note_fence(store, job, paths, control)
    if control.without_grace:
        end.update(_without_grace(control.cause))
    started = read_json(paths.started_at)
    end.update(
        retry=goes_on(end, job["retry"], time.time() - unix(started) if started else 0.0),
        started_at=started,
        ended_at=now(),
        log_bytes=_size(paths.log),
        artifacts=artifacts,
        traffic=status.get("traffic"),
        prices=status.get("prices"),
        hours_left=status.get("hours_left"),
        hours_left_at=status.get("hours_left_at"),
    )
    disk.release(paths, everything=True)
    # An agent that comes after this one must say the same words: the record is made only once.
    end = read_json(paths.draft) or end
    _keep(paths.draft, end)
    if fellows is not None:
        end = _with_fellows(end, job, paths, control, store, fellows)
    data = json.dumps(end).encode()
    if fellows is None or fellows.speaks:
        _insist(lambda: _publish(store, job, control, data, end), control, "the end")
    clean_up()
    _keep(paths.end, end)


def _with_fellows(
    end: dict[str, Any],
    job: Mapping[str, Any],
    paths: Paths,
    control: Control,
    store: Store,
    fellows: Fellows,
) -> dict[str, Any]:
    """Tell this node's end to the others; the attempt's, where that is this node's to say."""
    if folders.node_of(job):
        data = json.dumps(end).encode()
        _insist(lambda: store.create(folders.own(job) + "end.json", data), control, "its end")
    if not fellows.speaks:
        return end
    told = read_json(paths.whole)
    if told is None:
        ends = fellows.ends()
        seconds = time.time() - unix(end["started_at"]) if end["started_at"] else 0.0
        told = whole(job, end, ends, fellows.failure, seconds)
        _keep(paths.whole, told)
    return dict(told)


def _keep(path: str, value: object) -> None:
    try:
        write_json(path, value)
    except OSError as error:
        # The store has it, or will: nothing here may keep the machine from ending.
        note(f"{path}: {error}")


def _without_grace(cause: str | None) -> dict[str, Any]:
    from .outcome import outcome

    told = outcome(None, cause)
    told.pop("exit_code")
    return told


def _note_fence(store: Store, job: Mapping[str, Any], paths: Paths, control: Control) -> None:
    def look() -> None:
        if fenced(store, job, paths):
            control.request("fenced")

    _insist(look, control, "the question whether another attempt owns the run")


def _publish(
    store: Store, job: Mapping[str, Any], control: Control, data: bytes, end: Mapping[str, Any]
) -> None:
    """The end's record, and the run's name in the index where the run is still ours."""
    run = job["run"]
    if end["retry"]:
        # Before the end is told: from then on the next attempt may be running.
        _enter(store, run, "recovering")
    ours = store.create(folders.attempt(job) + "end.json", data)
    if ours and not end["retry"] and control.cause != "fenced":
        _enter(store, run, end["state"])


def _enter(store: Store, run: str, state: str) -> None:
    store.put(f"index/{state}/{run}", b"")
    for live in _LIVE:
        if live != state:
            store.delete(f"index/{live}/{run}")


def _insist(
    step: Callable[[], object], control: Control, what: str, patience: float = PATIENCE
) -> None:
    """Try until it works or the time is over: then go on without it."""
    deadline = time.monotonic() + patience
    while True:
        try:
            step()
            return
        except StoreError as error:
            note(f"{what}: {error}")
            if not error.passing or control.late or time.monotonic() > deadline:
                return
        time.sleep(1.0)


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0
