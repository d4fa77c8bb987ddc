"""JSON objects in the store: how they are written and read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from dstack_cloud.errors import InternalError
from dstack_cloud.storage.base import Store
from dstack_cloud.units import format_time

S = TypeVar("S")
T = TypeVar("T")
Document = dict[str, Any]

# Requests that wait for a bucket at the same time; more only fill the connection pool.
AT_ONCE = 16


def encode(document: Mapping[str, Any]) -> bytes:
    """Moments as RFC 3339, money as decimal strings."""
    return json.dumps(document, default=_scalar, separators=(",", ":")).encode()


def read(store: Store, key: str) -> Document | None:
    """The object at ``key``, None if there is none."""
    found = store.get(key)
    if found is None:
        return None
    try:
        document = json.loads(found.data)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise InternalError(f"{store.url}/{key} is damaged: it is not a JSON object")
    return document


def together(act: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """``act`` of every item, in order, at the same time; the first error is raised."""
    listed = list(items)
    if len(listed) < 2:
        return [act(item) for item in listed]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(AT_ONCE, len(listed))) as pool:
        return list(pool.map(act, listed))


def _scalar(value: object) -> str:
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in a document")
