"""Deleting all objects below a prefix."""

from __future__ import annotations

from itertools import islice

from dstack_cloud.storage.base import Store

_A_PAGE = 1000


def delete_all(store: Store, prefix: str, but: str | None = None) -> int:
    """Delete every object whose key starts with ``prefix`` (and not with ``but``), page by page;
    how many there were."""
    count = 0
    found = (item for item in store.list(prefix) if but is None or not item.key.startswith(but))
    while page := [item.key for item in islice(found, _A_PAGE)]:
        store.delete(page)
        count += len(page)
    return count
