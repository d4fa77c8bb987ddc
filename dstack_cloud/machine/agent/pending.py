"""Files that may have changed and are not yet known to be in the store."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

# A file that changes without a pause is taken anyway once it has been waiting for this long.
LONG = 10.0
_LONGEST_PAUSE = 60.0


class Entry:
    """One file: when it changed first and last (monotonic seconds) since it was stored, its size
    when last looked at, and how often it could not be stored."""

    __slots__ = ("busy", "first", "last", "not_before", "size", "tries", "waits")

    def __init__(self, moment: float) -> None:
        self.first = self.last = moment
        self.not_before = 0.0
        self.size = 0
        self.tries = 0
        self.busy = False
        # For whoever writes it to close it.
        self.waits = False


class Pending:
    """Thread-safe. Bounded: what is too much is left to a look at all files."""

    limit = 8000

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._entries: dict[str, Entry] = {}
        self._look = True

    def add(self, paths: Iterable[str], moment: float) -> None:
        """They changed at that moment."""
        with self._lock:
            for path in paths:
                entry = self._entries.get(path)
                if entry is not None:
                    entry.last = max(entry.last, moment)
                    entry.waits = False
                elif len(self._entries) < self.limit:
                    self._entries[path] = Entry(moment)
                else:
                    self._look = True
            self._lock.notify_all()

    def look_again(self) -> None:
        """All files must be looked at: some changes were not told."""
        with self._lock:
            self._look = True
            self._lock.notify_all()

    def take_look(self) -> bool:
        """Whether all files must be looked at; asks once."""
        with self._lock:
            # Not while there is no room for what would be found.
            look = self._look and len(self._entries) < self.limit // 2
            if look:
                self._look = False
            return look

    @property
    def full(self) -> bool:
        return len(self._entries) >= self.limit

    def wait(self, seconds: float) -> None:
        """Until there is something new, or the time has passed."""
        with self._lock:
            self._lock.wait(seconds)

    def wake(self) -> None:
        with self._lock:
            self._lock.notify_all()

    def items(self) -> list[tuple[str, Entry]]:
        with self._lock:
            return list(self._entries.items())

    def done(self, path: str, since: float) -> None:
        """It was stored (or is no file any more) as it was at the moment ``since``; what changed
        after that stays."""
        with self._lock:
            entry = self._entries.get(path)
            if entry is None:
                return
            if entry.last <= since:
                del self._entries[path]
            else:
                entry.first, entry.tries, entry.busy = entry.last, 0, False

    def later(self, path: str, pause: float = 1.0) -> None:
        """It could not be stored: try again, each time after a longer pause."""
        with self._lock:
            entry = self._entries.get(path)
            if entry is not None:
                entry.busy = False
                entry.tries += 1
                pause = min(_LONGEST_PAUSE, pause * 2 ** (entry.tries - 1))
                entry.not_before = time.monotonic() + pause

    def again(self, path: str) -> None:
        """It was given up for no fault of its own."""
        with self._lock:
            entry = self._entries.get(path)
            if entry is not None:
                entry.busy = False

    def hurry(self) -> None:
        """There is little time: no more pauses."""
        with self._lock:
            for entry in self._entries.values():
                entry.not_before, entry.tries = 0.0, 0
            self._lock.notify_all()

    def behind(self) -> int:
        """Bytes of the files that wait."""
        with self._lock:
            return sum(entry.size for entry in self._entries.values())

    def oldest(self) -> float:
        """The moment of the first change that is not stored, of those that can be."""
        with self._lock:
            return min((e.first for e in self._entries.values() if not e.waits), default=1e18)

    def __len__(self) -> int:
        return len(self._entries)
