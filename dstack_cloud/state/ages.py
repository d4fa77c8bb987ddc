"""How long ago something was written, by the store's own clock: the reader's may be hours off."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from dstack_cloud.state import keys
from dstack_cloud.storage.base import Store


def age(store: Store, run: str, names: Iterable[str]) -> float | None:
    """Seconds since the latest of a run's objects was written, a second or so off; None where
    there is none of them. What is written now tells the store's time."""
    mark = keys.clock(run)
    store.put(mark, b"")
    now = _modified(store, mark)
    found = [at for name in names if (at := _modified(store, name)) is not None]
    return (now - max(found)).total_seconds() if now is not None and found else None


def _modified(store: Store, key: str) -> datetime | None:
    for item in store.list(key):
        return item.modified if item.key == key else None
    return None
