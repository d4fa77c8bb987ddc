"""Credentials of the workflow's own choice: how each cloud's are got, kept and handed out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .errors import Failure, StoreError
from .note import note


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class Renewed:
    """Something that runs out, fetched anew in time. Thread-safe.

    ``fetch`` answers it and the moment of its end (seconds since 1970), and raises StoreError;
    ``margin``: how many seconds before that it is renewed.
    """

    def __init__(self, fetch: Callable[[], tuple[Any, float]], margin: float) -> None:
        self._fetch = fetch
        self._margin = margin
        self._lock = threading.Lock()
        self._have: tuple[Any, float] = (None, 0.0)

    def get(self) -> tuple[Any, float]:
        """It, and the moment of its end. StoreError where there is none that still holds."""
        with self._lock:
            now = time.time()
            if now > self._have[1] - self._margin:
                try:
                    self._have = self._fetch()
                except StoreError as error:
                    if now > self._have[1]:
                        raise
                    note(f"access: {error}")
            return self._have


class Access:
    """What is asked with a path, its query and headers in small letters, and answered."""

    def get(self) -> object:
        """The credentials themselves, to see that there are some. StoreError."""
        raise NotImplementedError

    def answer(self, target: str, headers: Mapping[str, str]) -> Answer:
        """StoreError where there are no credentials."""
        raise NotImplementedError

    def refused(self, error: StoreError) -> Failure:
        """Why the run cannot begin."""
        raise NotImplementedError
