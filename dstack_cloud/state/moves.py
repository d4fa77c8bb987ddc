"""The request to go on elsewhere: an object that an attempt's agent watches."""

from __future__ import annotations

from dstack_cloud.state import documents, keys
from dstack_cloud.storage.base import Store
from dstack_cloud.units import utc_now


def request_move(store: Store, run: str, attempt: int, *, why: str, by: str) -> None:
    """Ask the attempt to save its work and end, for the next one to go on."""
    data = documents.encode({"why": why, "by": by, "at": utc_now()})
    store.put(keys.move(run, attempt), data)
