"""Which of the files that have changed may be copied now, and in what way, so that no object that
is whole is ever replaced by a torn one.

- A file that nobody has open for writing is whole; it is copied under a lease, which keeps writers
  out until the copy is made or given up.
- A file that somebody has open (a log, say) is copied when it has stood still, or now and then;
  over a whole object only if it begins with that object's bytes, and then from a copy of its own.
- Anything else waits until it is closed.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from . import folders
from .artifacts import Place, inside
from .errors import StoreError
from .lease import HELD, WRITER, Lease
from .paths import Paths
from .pending import LONG, Entry, Pending
from .store import Store
from .stored import Copy, Stored
from .upload import Item

# Seconds without a change before a file is taken: closed by its writer, or still open.
QUIET, SETTLED = 1.0, 5.0
# An open file that never stands still is taken this often.
_OPEN_LONG = 30.0
# Bytes: files from here on have a lane of their own; a private copy is made up to here.
LARGE = 64 << 20
_MOST_COPIED = 256 << 20
FILES, _LARGE_FILES = 500, 4
_PIECE = 1 << 20


class Chosen(NamedTuple):
    """A file to copy, as it was at the moment ``since`` (monotonic)."""

    path: str
    item: Item
    copy: Copy
    since: float
    lease: Lease | None = None
    private: bool = False


class Chooser:
    """Looks at the files that wait. ``gone`` are those that were stored and are no more, each
    with the moment when that was seen."""

    def __init__(
        self,
        store: Store,
        job: Mapping[str, Any],
        paths: Paths,
        places: Sequence[Place],
        pending: Pending,
        stored: Stored,
    ) -> None:
        self._store = store
        self._prefix = folders.artifacts(job)
        self._copies = os.path.join(paths.sync, "copies")
        self.places = places
        self._pending = pending
        self._stored = stored
        self.gone: dict[str, float] = {}

    def item(self, path: str) -> Item | None:
        """What a file on the machine is in the store; None when it is in no artifact."""
        for base, name in self.places:
            if inside(path, os.path.normpath(os.path.join(base, name))):
                return Item(base, os.path.relpath(path, base))
        return None

    def choose(self, large: bool, hurry: bool) -> list[Chosen]:
        """What to copy now, in this lane; each is marked as busy. In a ``hurry`` closed files
        only, the newest first."""
        now = time.monotonic()
        most = _LARGE_FILES if large else FILES
        entries = self._pending.items()
        if hurry:
            entries.sort(key=lambda pair: -pair[1].last)
        chosen: list[Chosen] = []
        for path, entry in entries:
            if entry.busy or now < entry.not_before or len(chosen) >= most:
                continue
            if not hurry and now - entry.last < QUIET and now - entry.first < LONG:
                continue
            found = self._look(path, entry, large, hurry)
            if found is not None:
                entry.busy = True
                chosen.append(found)
        return chosen

    def _look(self, path: str, entry: Entry, large: bool, hurry: bool) -> Chosen | None:
        since = time.monotonic()
        item = self.item(path)
        try:
            found = os.stat(path)
        except OSError:
            if not large:
                self._is_gone(path, since)
            return None
        if item is None or not stat.S_ISREG(found.st_mode):
            self._pending.done(path, since)
            return None
        entry.size = found.st_size
        if large != (found.st_size >= LARGE):
            return None
        known = self._stored.get(path)
        same = known is not None and known[:2] == (found.st_size, found.st_mtime_ns)
        if same and known is not None and known.whole:
            self._pending.done(path, since)
            return None
        try:
            lease = Lease(path)
        except OSError:
            self._pending.later(path)
            return None
        if lease.state is not HELD:
            lease.close()
            if same:
                self._pending.done(path, since)
            elif not hurry:
                return self._open(path, item, entry, found, known, lease.state is WRITER)
            return None
        copy = Copy(lease.size, lease.changed, True)
        if same and known is not None and known[:2] == copy[:2]:
            # Copied while it was open, and closed since without a change.
            lease.close()
            self._stored.put([(path, copy)])
            self._pending.done(path, since)
            return None
        return Chosen(path, item, copy, since, lease)

    def _open(
        self,
        path: str,
        item: Item,
        entry: Entry,
        found: os.stat_result,
        known: Copy | None,
        writer: bool,
    ) -> Chosen | None:
        """A file that cannot be held still: ``writer`` has it open, or there are no leases."""
        now = time.monotonic()
        still = now - entry.last >= SETTLED
        if not still and (now - entry.first < _OPEN_LONG or not writer):
            return None
        over_whole = known is not None and known.whole
        if writer and not over_whole and still:
            # Nothing whole is there that could be lost.
            copy = Copy(found.st_size, found.st_mtime_ns, False)
            return Chosen(path, item, copy, now)
        try:
            before = self._store.fingerprint(self._key(item)) if writer and over_whole else None
            if self._copy(path, item, found, before):
                copy = Copy(found.st_size, found.st_mtime_ns, not writer)
                return Chosen(path, Item(self._copies, item.name), copy, now, private=True)
        except (OSError, StoreError):
            pass
        entry.waits = True
        self._pending.later(path, 5.0)
        return None

    def _key(self, item: Item) -> str:
        return self._prefix + item.name.replace(os.sep, "/")

    def _copy(
        self, path: str, item: Item, found: os.stat_result, before: tuple[int, str] | None
    ) -> bool:
        """A private copy of the file as ``found``. False if it has changed meanwhile, is too
        large, or does not begin with what is there ``before`` (size and MD5)."""
        if found.st_size > _MOST_COPIED or (before is not None and found.st_size < before[0]):
            return False
        target = os.path.join(self._copies, item.name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        digest = hashlib.md5()
        left = 0 if before is None else before[0]
        with open(path, "rb") as file, open(target, "wb") as copy:
            rest = found.st_size
            while rest:
                part = file.read(min(_PIECE, rest))
                if not part:
                    return False
                copy.write(part)
                digest.update(part[:left])
                left -= min(left, len(part))
                rest -= len(part)
            after = os.fstat(file.fileno())
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
        if before is not None:
            # It may have grown at its end meanwhile: what was copied is still its beginning.
            return digest.hexdigest() == before[1]
        return (after.st_size, after.st_mtime_ns) == (found.st_size, found.st_mtime_ns)

    def drop(self, chosen: Chosen) -> None:
        """Give back what a choice holds."""
        if chosen.lease is not None:
            chosen.lease.close()
        if chosen.private:
            os.unlink(os.path.join(chosen.item.base, chosen.item.name))

    def _is_gone(self, path: str, since: float) -> None:
        self._pending.done(path, since)
        for stored in self._stored.below(path):
            if len(self.gone) >= self._pending.limit:
                self._pending.look_again()
                return
            if not os.path.lexists(stored):
                self.gone.setdefault(stored, since)
