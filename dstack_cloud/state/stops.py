"""The request to stop a run: an object that its agent watches, so it needs no connection."""

from __future__ import annotations

from dstack_cloud.state import documents, keys
from dstack_cloud.state.documents import Document
from dstack_cloud.storage.base import Store
from dstack_cloud.units import utc_now


def request_stop(store: Store, run: str, *, abort: bool, by: str) -> None:
    """Ask the run to stop: with its grace period and artifacts saved, or at once (``abort``).

    An abort outweighs a stop whatever their order.
    """
    data = documents.encode({"abort": abort, "by": by, "at": utc_now()})
    if abort:
        store.put(keys.stop(run), data)
    else:
        store.create(keys.stop(run), data)


def read_stop(store: Store, run: str) -> Document | None:
    """``{"abort": bool, "by": str, "at": time}``; None when nobody has asked."""
    return documents.read(store, keys.stop(run))
