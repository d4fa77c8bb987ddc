"""Deleting all objects below a prefix."""

from __future__ import annotations

from itertools import islice

from dstack_cloud.storage.base import Store

_A_PAGE = 1000


def delete_all(store: Store, prefix: str) -> int:
    """Delete every object whose key starts with ``prefix``, page by page; how many there were."""
    count = 0
    found = store.list(prefix)
    while page := [item.key for item in islice(found, _A_PAGE)]:
        store.delete(page)
        count += len(page)
    return count
