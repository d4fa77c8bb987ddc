"""Pages: tokens that say where the next begins, and lists made only as far as they are read."""

from __future__ import annotations

import base64
import binascii
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, TypeVar

from moto_fixtures.aws.answer import AwsError

T = TypeVar("T")
KEPT = 64
"""Lists that are remembered for the pages after the first."""


def page_token(start: int, listing: str = "") -> str:
    """An opaque token: where the next page starts, and of which list."""
    return base64.urlsafe_b64encode(f"{listing}:{start}".encode()).decode()


def read_token(token: str | None, code: str) -> tuple[str, int]:
    """List and start of a :func:`page_token`; AwsError ``code`` for any other text."""
    if not token:
        return "", 0
    try:
        listing, _, start = base64.urlsafe_b64decode(token).decode().rpartition(":")
        return listing, int(start)
    except (ValueError, binascii.Error):
        raise AwsError(code, "The specified token is not valid.") from None


def read_page(token: str | None, code: str) -> int:
    """The start alone."""
    return read_token(token, code)[1]


class _Listing(Generic[T]):
    def __init__(self, source: Iterator[T]) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._read: list[T] = []

    def page(self, start: int, size: int) -> tuple[list[T], bool]:
        with self._lock:
            missing = start + size + 1 - len(self._read)
            self._read += islice(self._source, max(0, missing))
            return self._read[start : start + size], len(self._read) > start + size


class Listings(Generic[T]):
    """Lists by key, each read from its source once and only as far as pages were asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[str, _Listing[T]] = OrderedDict()

    def page(
        self, key: str, make: Callable[[], Iterator[T]], start: int, size: int
    ) -> tuple[list[T], bool]:
        """``size`` items from ``start``, and whether there are more."""
        with self._lock:
            if key not in self._held:
                self._held[key] = _Listing(make())
            self._held.move_to_end(key)
            while len(self._held) > KEPT:
                self._held.popitem(last=False)
            listing = self._held[key]
        return listing.page(start, size)
