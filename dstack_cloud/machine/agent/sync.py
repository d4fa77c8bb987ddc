"""Artifacts, copied up while the container runs: two lanes, so that a large file does not keep
the small ones waiting, and what was deleted on the machine."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from . import folders
from .artifacts import Place, files, place, wanted
from .changes import Changes, raise_limit
from .choose import FILES, Chooser, Chosen
from .cloud import own_machine
from .control import Control
from .errors import Interrupted, StoreError
from .fence import fenced
from .lease import broken
from .note import note
from .paths import Paths, read_json
from .pending import Pending
from .status import Status
from .store import Store
from .stored import Copy, Stored
from .times import now
from .upload import Uploader

# Small files are gathered for this long: starting rclone is the dearest part of a copy.
_EVERY = 2.0
# A look at all files, besides what the kernel tells (it is silent about memory that is mapped),
# and without it: seconds at least, and as a multiple of how long a look takes.
_NET, _FALLBACK = (60.0, 200.0), (5.0, 20.0)
# How long an answer about who owns the run holds.
_FENCE = 5.0


class Sync:
    """The copies during the run. `close` before anything else copies."""

    def __init__(
        self, store: Store, job: Mapping[str, Any], paths: Paths, control: Control, status: Status
    ) -> None:
        self._store = store
        self._job = job
        self._paths = paths
        self._control = control
        self._status = status
        self.stored = Stored(os.path.join(paths.sync, "stored.db"))
        self.pending = Pending()
        self._over = threading.Event()
        self._hurry = False
        self._fence_asked = 0.0
        self._next_look = 0.0
        self._errors: dict[str, str | None] = {}
        self._threads: list[threading.Thread] = []
        self._changes: Changes | None = None
        places = self.places(mounted_only=True)
        self.chooser = Chooser(store, job, paths, places, self.pending, self.stored)

    def places(self, mounted_only: bool) -> list[Place]:
        """Where the artifacts are; one that is outside of the working folder is left out."""
        found = []
        for path in wanted(self._job, mounted_only):
            try:
                found.append(place(path, self._job["working_dir"], self._paths.workflow))
            except ValueError as error:
                note(str(error))
        return found

    def start(self, thread: Callable[[str, Callable[[], None]], threading.Thread]) -> None:
        """Begin, in threads of their own."""
        if own_machine(self._job):
            raise_limit()
        changes = Changes(self.chooser.places, self._paths.workflow, self.pending)
        self._changes = changes
        thread("changes", lambda: changes.run(self._over))
        self._begin(thread)

    def _begin(self, thread: Callable[[str, Callable[[], None]], threading.Thread]) -> None:
        for large in (False, True):
            lane = self._lane(large)
            self._threads.append(thread("sync-large" if large else "sync", lane))

    def flush(self, thread: Callable[[str, Callable[[], None]], threading.Thread]) -> None:
        """There is little time: from now on all artifacts, whether mounted or not, without waiting
        for more to gather."""
        self.chooser.places = self.places(mounted_only=False)
        self._hurry = True
        self._next_look = 0.0
        self.pending.look_again()
        self.pending.hurry()
        if not self._threads and self.chooser.places:
            self._begin(thread)

    def close(self) -> None:
        """Begin no more copies, and wait for those under way."""
        self._over.set()
        self.pending.wake()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def stop(self) -> bool:
        """Whether this is over."""
        return self._control.late or self._control.without_grace

    def give_up(self) -> bool:
        """Whether a copy that is under way must be given up."""
        return self.stop() or self._control.doubtful(self._job["timers"]["heartbeat"])

    def _lane(self, large: bool) -> Callable[[], None]:
        uploader = Uploader(self._store, self._job, self._paths, "large" if large else "small")

        def work() -> None:
            while not self._over.is_set() and not self.stop():
                begun = time.monotonic()
                try:
                    if not large:
                        self._look()
                    busy = self._round(uploader, large)
                except Interrupted:
                    return
                if not busy:
                    self._idle()
                elif not large and not self._hurry and busy < FILES:
                    self._over.wait(max(0.0, _EVERY - (time.monotonic() - begun)))

        return work

    def _idle(self) -> None:
        if len(self.pending):
            self._over.wait(0.1 if self._hurry else 0.5)
        else:
            self.pending.wait(2.0)

    def _look(self) -> None:
        """Look at all files when it is time for it."""
        begun = time.monotonic()
        if not self.pending.take_look() and begun < self._next_look:
            return
        for where in self.chooser.places:
            self._look_at(where)
        took = time.monotonic() - begun
        blind = self._changes is None or self._changes.warning is not None
        least, times = _FALLBACK if blind else _NET
        self._next_look = begun + max(least, times * took)

    def _look_at(self, where: Place) -> None:
        moment, clock = time.monotonic(), time.time()
        for found in files(where, self._paths.workflow):
            path = os.path.join(where.base, found.path)
            known = self.stored.get(path)
            if known is None or known[:2] != (found.size, found.changed):
                # As long ago as its time says: what stands still need not wait again.
                age = max(0.0, clock - found.changed / 1e9)
                self.pending.add([path], moment - age)
                if self.pending.full:
                    # The rest when there is room for it.
                    self.pending.look_again()
                    return
        root = os.path.normpath(os.path.join(where.base, where.name))
        missing = (path for path in self.stored.below(root) if not os.path.lexists(path))
        self.pending.add(missing, moment)

    def _round(self, uploader: Uploader, large: bool) -> int:
        """Copy what may be copied now; returns how many files that were."""
        chosen = self.chooser.choose(large, self._hurry)
        try:
            if chosen:
                self._copy(uploader, chosen)
            elif not large:
                self._delete()
        finally:
            for each in chosen:
                self.chooser.drop(each)
        self._tell()
        return len(chosen)

    def _copy(self, uploader: Uploader, chosen: list[Chosen]) -> None:
        leases = [each.lease for each in chosen if each.lease is not None]
        error = self._may_write()
        if error is not None:
            self._errors[threading.current_thread().name] = error
            for each in chosen:
                self.pending.later(each.path)
            return
        result = uploader.copy(
            (each.item for each in chosen), lambda: broken(leases) or self.give_up()
        )
        arrived: list[tuple[str, Copy]] = []
        for each in chosen:
            if each.item.name in result.stored:
                arrived.append((each.path, each.copy))
                self.pending.done(each.path, each.since)
            elif result.stopped and (each.lease is None or not each.lease.broken):
                self.pending.again(each.path)
            else:
                self.pending.later(each.path)
        self.stored.put(arrived)
        self.count(copy.size for _, copy in arrived)
        self._errors[threading.current_thread().name] = result.error

    def _may_write(self) -> str | None:
        """None, or why not now. Raises Interrupted when never again."""
        if time.monotonic() - self._fence_asked > _FENCE:
            asked = time.monotonic()
            try:
                if fenced(self._store, self._job, self._paths):
                    self._control.request("fenced")
                self._control.owned(asked)
            except StoreError as error:
                return str(error)
            self._fence_asked = time.monotonic()
        if self._control.without_grace:
            raise Interrupted
        return None

    def count(self, sizes: Iterable[int]) -> None:
        """Bytes that arrived in the store."""
        self._status.count(sent=sum(sizes))

    def may_delete(self) -> bool:
        """Whether this attempt knows that it began with all that the store has."""
        return read_json(self._paths.restored) is not None

    def _delete(self) -> None:
        """Delete from the store what is gone here, once all that changed before is there."""
        gone = self.chooser.gone
        if not gone or self._hurry or any(self._errors.values()):
            return
        if not self.may_delete():
            gone.clear()
            return
        due = [path for path, moment in gone.items() if moment < self.pending.oldest()]
        try:
            for path in due:
                if self._may_write() is not None or self._over.is_set():
                    return
                self.delete(path)
                del gone[path]
        except StoreError as error:
            note(f"delete: {error}")

    def delete(self, path: str) -> None:
        """Delete a file's object, if the file is still not there. StoreError."""
        item = self.chooser.item(path)
        if item is not None and not os.path.lexists(path):
            name = item.name.replace(os.sep, "/")
            self._store.delete(folders.artifacts(self._job) + name)
            self.stored.forget(path)

    def _tell(self) -> None:
        """The status, where it has changed."""
        error = next((text for text in self._errors.values() if text), None)
        behind = self.pending.behind()
        warning = None if self._changes is None else self._changes.warning
        known = self._status.get("sync")
        good = error is None and (behind < known["behind"] or known["last_ok"] is None)
        fields: dict[str, object] = {"behind": behind, "warning": warning}
        same = known == {**known, **fields, "error": error}
        if same and behind == 0 and not good:
            return
        if good or (error is None and not len(self.pending)):
            fields["last_ok"] = now()
        self._status.sync("artifacts", error, **fields)
