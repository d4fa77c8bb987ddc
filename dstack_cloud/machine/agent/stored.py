"""What the store holds of this attempt's files, as far as it was seen to arrive there.

In a database beside the agent's other files, so that a hundred thousand files cost no memory. It
need not survive the machine, only the agent.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .note import note


class Copy(NamedTuple):
    """Size in bytes and time of change in nanoseconds of the file that was copied. ``whole``:
    nobody had it open for writing, so that it is what somebody meant to leave."""

    size: int
    changed: int
    whole: bool


class Stored:
    """Thread-safe; files by their paths on the machine."""

    def __init__(self, path: str) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._run("PRAGMA journal_mode = WAL")
        self._run("PRAGMA synchronous = OFF")
        self._run("PRAGMA cache_size = -1000")
        self._run(
            "CREATE TABLE IF NOT EXISTS stored (path BLOB PRIMARY KEY, size INTEGER,"
            " changed INTEGER, whole INTEGER) WITHOUT ROWID"
        )

    def _run(self, sql: str, *values: object) -> list[tuple[int, ...]]:
        with self._lock:
            return self._database.execute(sql, values).fetchall()

    def get(self, path: str) -> Copy | None:
        found = self._run(
            "SELECT size, changed, whole FROM stored WHERE path = ?", os.fsencode(path)
        )
        return Copy(found[0][0], found[0][1], bool(found[0][2])) if found else None

    def put(self, copies: Iterable[tuple[str, Copy]]) -> None:
        """Remember. On a full disk that fails: then the files are only copied once more."""
        rows = [(os.fsencode(path), *copy) for path, copy in copies]
        with self._lock:
            try:
                self._database.execute("BEGIN")
                self._database.executemany("INSERT OR REPLACE INTO stored VALUES (?,?,?,?)", rows)
                self._database.execute("COMMIT")
            except sqlite3.Error as error:
                note(f"stored: {error}")
                with contextlib.suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")

    def forget(self, path: str) -> None:
        try:
            self._run("DELETE FROM stored WHERE path = ?", os.fsencode(path))
        except sqlite3.Error as error:
            note(f"stored: {error}")

    def below(self, folder: str, chunk: int = 1000) -> Iterator[str]:
        """Every path that is ``folder`` or in it, read in pieces."""
        name = os.fsencode(folder.rstrip(os.sep))
        if self._run("SELECT size FROM stored WHERE path = ?", name):
            yield folder
        last, end = name + b"/", name + b"0"  # the byte after the slash
        while True:
            with self._lock:
                rows = self._database.execute(
                    "SELECT path FROM stored WHERE path > ? AND path < ? ORDER BY path LIMIT ?",
                    (last, end, chunk),
                ).fetchall()
            yield from (os.fsdecode(path) for (path,) in rows)
            if len(rows) < chunk:
                return
            last = rows[-1][0]
