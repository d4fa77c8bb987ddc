"""The lease of a claimed attempt: an object that its client replaces while it launches a machine.

Every write compares with the version that was read, so of a holder that goes on and another client
that takes over, one wins, and the other finds out. Nobody compares clocks: whoever waits sees
whether the version changes.
"""

from __future__ import annotations

import json
import os
from typing import Any

from dstack_cloud.state import documents, keys
from dstack_cloud.storage.base import Store
from dstack_cloud.units import utc_now


def new_claim() -> str:
    """What tells one holder from all others."""
    return os.urandom(8).hex()


def version(store: Store, run: str, number: int) -> str | None:
    """The lease's version; None while its holder has not renewed it yet."""
    found = store.get(keys.lease(run, number))
    return None if found is None else found.version


def renew(store: Store, run: str, number: int, claim: str, by: str) -> bool:
    """Renew the lease of ``claim``; False when another client has taken it."""
    key = keys.lease(run, number)
    while True:
        found = store.get(key)
        if found is not None and _claim(found.data) != claim:
            return False
        data = _document(claim, by)
        if store.create(key, data) if found is None else store.replace(key, data, found.version):
            return True


def take(store: Store, run: str, number: int, seen: str | None, claim: str, *, by: str) -> bool:
    """Take a lease that is still at the version ``seen``; False when it has been renewed, or taken
    by somebody else."""
    key, data = keys.lease(run, number), _document(claim, by)
    if seen is None:
        return store.create(key, data)
    return store.replace(key, data, seen)


def _document(claim: str, by: str) -> bytes:
    # No two alike: a version may be the content's hash.
    return documents.encode({"claim": claim, "by": by, "at": utc_now(), "beat": new_claim()})


def _claim(data: bytes) -> Any:
    try:
        return json.loads(data)["claim"]
    except (ValueError, KeyError, TypeError):
        return None
