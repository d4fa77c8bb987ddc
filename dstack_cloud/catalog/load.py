"""The cache: one SQLite file a cloud and account, made of the bundled snapshot when first used.

Several processes may come at once: one makes the file, under another name, and the others wait:
a file that is replaced while one of them has it open can no longer be written to. Where nothing
can be written the catalog lives in memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import tempfile
from pathlib import Path

from dstack_cloud.catalog import schema

_BUSY_S = 10.0


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/dstack-cloud``, else ``~/.cache/dstack-cloud``."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "dstack-cloud"


def cache_path(cloud: str, account: str = "") -> Path:
    """The cache's file. ``account`` tells accounts and endpoints apart; empty: nobody's."""
    name = "catalog" if cloud == "aws" else f"catalog-{cloud}"
    if account:
        from hashlib import sha256

        name += "-" + sha256(account.encode()).hexdigest()[:12]
    return cache_folder() / f"{name}.sqlite"


def connect(cloud: str, account: str = "") -> sqlite3.Connection:
    """The catalog of ``cloud``: the cached one, else a new one of the bundled snapshot."""
    path = cache_path(cloud, account)
    database = _open(path, cloud)
    if database is None:
        try:
            database = _made(path, cloud)
        except OSError:
            database = None
        except sqlite3.Error:
            database = None
    if database is None:
        database = sqlite3.connect(":memory:")
        schema.fill(database, cloud)
    return database


def _open(path: Path, cloud: str) -> sqlite3.Connection | None:
    """The file's database, or None where it is missing, damaged or of another snapshot."""
    if not path.exists():
        return None
    database = None
    try:
        database = sqlite3.connect(path, timeout=_BUSY_S)
        found = database.execute("SELECT value FROM meta WHERE key = 'stamp'").fetchone()
    except sqlite3.Error:
        found = None
    if found and found[0] == schema.expected_stamp(cloud):
        return database
    if database is not None:
        database.close()
    return None


def _made(path: Path, cloud: str) -> sqlite3.Connection | None:
    """The file's database, made anew unless another process has just done so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{path}.lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _open(path, cloud) or _make(path, cloud)


def _make(path: Path, cloud: str) -> sqlite3.Connection | None:
    handle, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    os.close(handle)
    new = Path(name)
    try:
        with contextlib.closing(sqlite3.connect(new)) as database:
            # The file is nobody's until it is complete, and can be made again.
            database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
            schema.fill(database, cloud)
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)
    return _open(path, cloud)
