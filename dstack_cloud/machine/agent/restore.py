"""What earlier attempts left comes back before the container starts, and is held against the store.

Not before all attempts before this one have ended: their last files may still be on their way.
"""

from __future__ import annotations

import filecmp
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from . import disk, folders, rclone
from .artifacts import Place, inside, wanted
from .control import Control
from .errors import Failure, Interrupted, StoreError
from .fellows import own_artifacts
from .note import note
from .paths import Paths, write_json
from .store import FolderStore, Listed, Store
from .stored import Copy, Stored

# An end that nobody records: the machine is known to be gone to nobody, or nobody is there.
_PATIENCE = 900.0
_EVERY = 1.0
_HINT = "dstack-cloud artifacts list shows what is there"


class Restore:
    """``run`` is the whole of it; ``report`` is told the bytes that come back, and ``marks`` says
    that nothing else comes after it."""

    def __init__(
        self,
        store: Store,
        job: Mapping[str, Any],
        paths: Paths,
        control: Control,
        places: Sequence[Place],
        stored: Stored,
        report: Callable[[int], None],
        marks: bool = True,
    ) -> None:
        self._store = store
        self._job = job
        self._paths = paths
        self._control = control
        self._stored = stored
        self._report = report
        self._marks = marks
        self._prefix = folders.artifacts(job)
        self._places = places

    def run(self) -> None:
        """Once. Raises Failure("setup") or ("disk"), or Interrupted.

        An attempt that restores nothing may still delete what it deletes, if there is nothing but
        what it makes itself.
        """
        if os.path.exists(self._paths.restored):
            return
        if not self._job["restore"]:
            self._begin_empty()
            return
        ends = self._insist(self._earlier_ends, "the end of an attempt before this one")
        previous = last_told(ends)
        told = own_artifacts(self._job, previous.get("artifacts") or ())
        counts = self._insist(self._count, "the artifacts to restore")
        self._check({**previous, "artifacts": told}, counts)
        total = sum(size for _, size in counts.values())
        self._report(total)
        if isinstance(self._store, FolderStore):
            self._from_folder(self._store)
        else:
            self._from_bucket()
        restored = self._insist(self._verify, "the restored artifacts")
        if self._marks:
            write_json(self._paths.restored, {"files": restored, "bytes": total})

    def _begin_empty(self) -> None:
        if not wanted(self._job, mounted_only=True):
            return
        try:
            if next(iter(self._store.each(self._prefix)), None) is None:
                write_json(self._paths.restored, {"files": 0, "bytes": 0})
        except StoreError as error:
            note(f"nothing will be deleted from the store: {error}")

    def _insist(self, ask: Callable[[], Any], what: str) -> Any:
        """Ask the store until it answers (None is no answer)."""
        end = time.monotonic() + _PATIENCE
        problem = "there is none"
        while True:
            if self._control.cause is not None:
                raise Interrupted
            try:
                answer = ask()
                if answer is not None:
                    return answer
            except StoreError as error:
                problem = str(error)
                if not error.passing:
                    end = 0.0
            if time.monotonic() > end:
                raise Failure("setup", f"{what} could not be had from the store: {problem}", _HINT)
            self._control.pause(_EVERY)

    def _earlier_ends(self) -> Any:
        """The ends of the attempts before this one, the last first; None while one has none.

        The one before may have been called off while the one before that still saves its work. An
        attempt whose container started had waited for all before it.
        """
        ends = []
        for number in range(self._job["attempt"] - 1, 0, -1):
            data = self._store.get(f"runs/{self._job['run']}/attempts/{number}/end.json")
            if data is None:
                return None
            ends.append({**json.loads(data), "attempt": number})
            if ends[-1].get("container_started_at"):
                break
        return ends

    def _listed(self) -> Iterator[tuple[Place, str, Listed]]:
        """Each object that is an artifact: its place, its path on the machine."""
        for listed in self._store.each(self._prefix):
            name = listed.key[len(self._prefix) :].replace("/", os.sep)
            if folders.of_another(self._job, name):
                continue
            for where in self._places:
                path = os.path.normpath(os.path.join(where.base, name))
                root = os.path.normpath(os.path.join(where.base, where.name))
                if inside(path, root) and not name.endswith(os.sep):
                    yield where, path, listed
                    break

    def _count(self) -> dict[Place, tuple[int, int]]:
        """For each artifact the number of its objects, and the bytes that are not here yet."""
        counts = dict.fromkeys(self._places, (0, 0))
        for where, path, listed in self._listed():
            number, size = counts[where]
            counts[where] = (number + 1, size + listed.size - _present(path, listed.size))
        return counts

    def _check(self, previous: Mapping[str, Any], counts: Mapping[Place, tuple[int, int]]) -> None:
        """Before anything is fetched: is it all there, and does it fit."""
        for told in previous.get("artifacts") or ():
            for where in self._places:
                there = counts[where][0]
                if (
                    os.path.normpath(told["path"]) == where.name
                    and told["stored"]
                    and there < told["files"]
                ):
                    raise Failure(
                        "restore",
                        f"artifacts to restore are gone: {told['path']} had {told['files']} files "
                        f"when attempt {previous['attempt']} ended, the store has {there}",
                        f"{_HINT}; run the workflow again to begin anew",
                    )
        total = sum(size for _, size in counts.values())
        room = disk.free(self._paths)
        if total > room:
            raise Failure(
                "disk",
                f"the artifacts to restore have {total} bytes, the disk has room for {room}",
                "ask for more with `disk` in the workflow's resources, such as disk: 200GB",
            )

    def _from_folder(self, store: FolderStore) -> None:
        for _, path, listed in self._listed():
            if self._control.cause is not None:
                raise Interrupted
            source = store.path(listed.key)
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                if not store.fetch(listed.key, path):
                    raise Failure("setup", f"{listed.key} is gone from the store", _HINT)
                found = os.stat(source)
                os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
                same = filecmp.cmp(source, path, shallow=False)
            except (OSError, StoreError) as error:
                raise Failure("setup", f"{listed.key} could not be restored: {error}") from error
            if not same:
                raise Failure("setup", f"{listed.key} is not what the store has, once restored")

    def _from_bucket(self) -> None:
        """rclone holds each file that it brings against the object's checksum."""
        listing = os.path.join(self._paths.sync, "restore.files")
        log = os.path.join(self._paths.sync, "restore.log")
        end = time.monotonic() + _PATIENCE
        for base in sorted({where.base for where in self._places}):
            while True:
                self._insist(partial(self._list, base, listing), "the artifacts' names")
                known = self._insist(self._has_checksums, "the artifacts' checksums")
                argv = rclone.down_argv(self._job, base, listing, known=known)
                result = rclone.run(argv, self._job, log, lambda: self._control.cause is not None)
                if result.stopped:
                    raise Interrupted
                if result.error is None:
                    break
                if result.stored:
                    # It gets on: only one that stands still is given up.
                    end = time.monotonic() + _PATIENCE
                if "no space left" in result.error.lower():
                    raise Failure("disk", f"the artifacts to restore do not fit: {result.error}")
                if rclone.refused(result.error) or time.monotonic() > end:
                    raise Failure(
                        "setup", f"artifacts could not be restored: {result.error}", _HINT
                    )
                self._control.pause(2.0)

    def _has_checksums(self) -> bool:
        """Whether the store's objects have MD5s: a bucket that encrypts by KMS has none."""
        first = next(iter(self._listed()), None)
        found = None if first is None else self._store.fingerprint(first[2].key)
        return found is None or bool(found[1])

    def _list(self, base: str, listing: str) -> bool:
        with open(listing, "wb") as file:
            for where, path, _ in self._listed():
                if where.base == base:
                    file.write(os.fsencode(os.path.relpath(path, base)) + b"\n")
        return True

    def _verify(self) -> int:
        """Every object is there as a file of its size; what was restored is remembered as stored.
        The container's user may be any: all may be changed by all."""
        copies: list[tuple[str, Copy]] = []
        count = 0
        folder = ""
        for where, path, listed in self._listed():
            try:
                found = os.stat(path)
            except OSError as error:
                raise Failure("setup", f"{listed.key} was not restored: {error}") from error
            if found.st_size != listed.size:
                raise Failure(
                    "setup",
                    f"{listed.key} was restored with {found.st_size} of {listed.size} bytes",
                )
            os.chmod(path, found.st_mode & 0o777 | 0o666)
            if os.path.dirname(path) != folder:
                folder = os.path.dirname(path)
                _open_up(folder, where.base)
            copies.append((path, Copy(found.st_size, found.st_mtime_ns, True)))
            count += 1
            if len(copies) >= 1000:
                self._stored.put(copies)
                copies.clear()
        self._stored.put(copies)
        return count


def restore(
    store: Store,
    job: Mapping[str, Any],
    paths: Paths,
    control: Control,
    places: Sequence[Place],
    stored: Stored,
    report: Callable[[int], None],
) -> None:
    """What this machine goes on from. What node 0 had is every node's; what this one had comes on
    top of it. Raises what `Restore.run` raises."""
    rest = (paths, control, places, stored, report)
    if job["restore"] and folders.node_of(job):
        Restore(store, {**job, "node": 0}, *rest, marks=False).run()
    Restore(store, job, *rest).run()


def last_told(ends: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Of the earlier ends, the last first, the one that tells what the store must have. Pure.

    An attempt whose container never started changed nothing. One whose machine was lost may have
    changed all: then nobody knows.
    """
    for end in ends:
        if end.get("container_started_at") or end.get("artifacts"):
            return end
        if end.get("reason") == "machine-lost":
            break
    return {}


def _present(path: str, size: int) -> int:
    """The size, if an agent that was killed had restored this file already."""
    try:
        return size if os.stat(path).st_size == size else 0
    except OSError:
        return 0


def _open_up(folder: str, base: str) -> None:
    while inside(folder, base) and folder != base:
        os.chmod(folder, 0o777)
        folder = os.path.dirname(folder)
