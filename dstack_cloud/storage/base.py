"""The seam to a store: whole objects under string keys, and two conditional writes.

Keys are ``/``-separated, without a leading slash, relative to the store's own prefix. Every method
may raise CredentialsError, PermissionDeniedError, NotFoundError (the bucket itself),
ThrottledError or UnreachableError; an object that is not there is an answer, not an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class StoredObject:
    """An object's bytes and the version that a conditional write compares with."""

    data: bytes
    version: str


@dataclass(frozen=True)
class ObjectInfo:
    """One row of a listing; ``size`` in bytes."""

    key: str
    size: int
    modified: datetime


class Store(Protocol):
    """A bucket, or a folder, as the run's only state."""

    url: str

    def get(self, key: str) -> StoredObject | None:
        """The object, or None."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write or overwrite."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Write only if nothing is there; False when something is."""
        ...

    def replace(self, key: str, data: bytes, version: str) -> bool:
        """Write only if the object is still at ``version``; False when it is not."""
        ...

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key starts with ``prefix`` and sorts after ``after``, in key order."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Delete; keys that are not there are fine."""
        ...

    def upload(self, key: str, path: Path) -> None:
        """Copy a local file up, in parts where it is large."""
        ...

    def download(self, key: str, path: Path) -> None:
        """Copy an object to a local file, whole or not at all. NotFoundError if it is not there."""
        ...
