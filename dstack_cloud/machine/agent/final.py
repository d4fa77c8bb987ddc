"""The last copy, after the container's end: everything, or a report of what is missing."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from .artifacts import Found, Place, files, place, wanted
from .control import Control
from .errors import Interrupted, StoreError
from .fence import fenced
from .note import note
from .paths import Paths
from .rclone import Result, refused
from .store import Store
from .stored import Copy
from .sync import Sync
from .upload import Item, Uploader

# A store that does not answer keeps the machine alive, and on the bill, this long at most.
PATIENCE = 900.0
# A refusal is believed after so many tries.
_TRIES = 3
_MOST, _NAMED = 5000, 5
_TOO_LATE = "there was no time left for them before the machine is taken away"

_SILENT = "the store has not answered for too long"


class Final:
    """One copy of all artifacts, as far as the control gives it time."""

    def __init__(
        self,
        store: Store,
        job: Mapping[str, Any],
        paths: Paths,
        control: Control,
        sync: Sync,
    ) -> None:
        self._store = store
        self._job = job
        self._paths = paths
        self._control = control
        self._sync = sync
        self._places: list[Place] = []
        self._uploader = Uploader(store, job, paths, "final")
        self._error: str | None = None
        self._refused = False

    def run(self) -> list[dict[str, Any]]:
        """Returns end.json's ``artifacts``. Raises Interrupted on an abort, or when another
        attempt owns the run."""
        self._places = self._sync.places(mounted_only=False)
        patience = time.monotonic() + PATIENCE
        tries = 0
        while True:
            fresh = self._fresh()
            if not fresh:
                break
            result = self._copy(fresh)
            if result.error is None and result.stored:
                tries = 0
                continue
            if self._control.late or time.monotonic() > patience:
                break
            tries += 1
            if tries >= _TRIES and (self._refused or result.error is None):
                break
            self._control.over.wait(min(15.0, 2.0 * tries))
        reports = [self._report(path) for path in wanted(self._job, mounted_only=False)]
        if self._sync.may_delete() and all(report["stored"] for report in reports):
            self._delete()
        return reports

    def _stop(self) -> bool:
        return self._control.late or self._control.without_grace

    def _fresh(self) -> list[tuple[Place, Found]]:
        """The newest of what is not in the store yet."""
        return heapq.nlargest(_MOST, self._all_fresh(), key=lambda pair: pair[1].changed)

    def _all_fresh(self) -> Iterator[tuple[Place, Found]]:
        for where in self._places:
            try:
                for found in files(where, self._paths.workflow):
                    if "\n" not in found.path and self._is_new(where, found):
                        yield where, found
            except OSError as error:
                self._error = str(error)

    def _is_new(self, where: Place, found: Found) -> bool:
        known = self._sync.stored.get(os.path.join(where.base, found.path))
        return known is None or known[:2] != (found.size, found.changed)

    def _copy(self, fresh: list[tuple[Place, Found]]) -> Result:
        if self._control.late:
            return Result(set(), _TOO_LATE, True)
        asked = time.monotonic()
        try:
            # Not without an answer: what is there may be another attempt's by now.
            if fenced(self._store, self._job, self._paths):
                self._control.request("fenced")
            self._control.owned(asked)
        except StoreError as error:
            self._error, self._refused = str(error), not error.passing
            return Result(set(), self._error)
        if self._control.without_grace:
            raise Interrupted
        items = {Item(where.base, found.path): found for where, found in fresh}
        result = self._uploader.copy(items, self._sync.give_up)
        if self._control.without_grace:
            raise Interrupted
        self._sync.stored.put(
            (os.path.join(*item), Copy(found.size, found.changed, True))
            for item, found in items.items()
            if item.name in result.stored
        )
        self._sync.count(found.size for item, found in items.items() if item.name in result.stored)
        if result.stopped and not self._stop():
            result = result._replace(error=_SILENT)
        self._error = _TOO_LATE if result.error is None and result.stopped else result.error
        self._refused = result.error is not None and refused(result.error)
        return result

    def _report(self, path: str) -> dict[str, Any]:
        report: dict[str, Any] = {"path": path, "files": 0, "bytes": 0, "stored": False}
        missing: list[str] = []
        absent, size = 0, 0
        try:
            where = place(path, self._job["working_dir"], self._paths.workflow)
            for found in files(where, self._paths.workflow):
                report["files"] += 1
                report["bytes"] += found.size
                if self._is_new(where, found):
                    absent, size = absent + 1, size + found.size
                    if len(missing) < _NAMED:
                        missing.append(found.path)
        except (OSError, ValueError) as error:
            return {**report, "error": str(error)}
        if not report["files"] and not os.path.lexists(os.path.join(where.base, where.name)):
            # Nothing was lost: the container made nothing there.
            return {**report, "stored": True, "error": "not found"}
        if not absent:
            return {**report, "stored": True, "error": None}
        why = self._error or "they could not be copied"
        if any("\n" in name for name in missing):
            why = "a file's name holds a line break"
        names = ", ".join(ascii(n)[1:-1] if "\n" in n else n for n in missing)
        more = f" and {absent - len(missing)} more" if absent > len(missing) else ""
        told = f"{absent} of {report['files']} files, {size} bytes, are missing: {names}{more}"
        return {**report, "error": f"{told}: {why}"}

    def _delete(self) -> None:
        """What the container deleted from the mounted artifacts."""
        for where in self._sync.places(mounted_only=True):
            root = os.path.normpath(os.path.join(where.base, where.name))
            for path in self._sync.stored.below(root):
                if self._stop():
                    return
                try:
                    self._sync.delete(path)
                except StoreError as error:
                    note(f"delete: {error}")
                    return
