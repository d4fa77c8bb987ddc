"""The store on an object service, through obstore: one implementation for every service.

What differs (how to connect, whose credentials, what an action is called) is in a `Service`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from dstack_cloud.errors import DstackError, InputError, NotFoundError
from dstack_cloud.storage.base import ObjectInfo, StoredObject
from dstack_cloud.storage.failures import Failure, read_failure
from dstack_cloud.storage.retry import tries
from dstack_cloud.storage.whole import WholeFile

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import ObjectStore

T = TypeVar("T")

_PART = 8 << 20
_PARTS_AT_ONCE = 4
_READ_CHUNK = 1 << 20
_PAGE = 1000


class Service(Protocol):
    """An object service as one caller sees it."""

    prefix: str
    get_action: str
    put_action: str
    list_action: str
    delete_action: str

    def client(self, *, bulk: bool = False) -> ObjectStore:
        """A client that tries once; a ``bulk`` one has time for large bodies and tries again."""
        ...

    def amend(self, failure: Failure) -> bool:
        """Put right what can be (credentials, region); whether a new try makes sense."""
        ...

    def error(self, failure: Failure, action: str) -> DstackError:
        """The user's error."""
        ...


@dataclass(frozen=True)
class _Outcome(Generic[T]):
    """``value`` is None when the request failed as expected; ``unsure``: an earlier try may
    have been carried out although it failed."""

    value: T | None
    unsure: bool


class BucketStore:
    """`Store` over a `Service`."""

    def __init__(self, url: str, service: Service) -> None:
        self.url = url
        self.service = service

    def get(self, key: str) -> StoredObject | None:
        def read(client: ObjectStore) -> StoredObject:
            result = client.get(self._path(key))
            version = result.meta["e_tag"]
            return StoredObject(bytes(result.bytes()), version or "")

        return self._run(self.service.get_action, read, _is_missing).value

    def put(self, key: str, data: bytes) -> None:
        self._run(self.service.put_action, lambda client: client.put(self._path(key), data))

    def create(self, key: str, data: bytes) -> bool:
        return self._write_if(key, data, "create", lambda failure: failure.status == 412)

    def replace(self, key: str, data: bytes, version: str) -> bool:
        return self._write_if(
            key, data, {"e_tag": version}, lambda failure: failure.status == 412 or failure.missing
        )

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        # obstore's prefix is a whole folder. Keys come in order, so what sorts before the
        # wanted ones need not be read, and the first that sorts after them ends it.
        folder = prefix.rpartition("/")[0]
        last = max(after, prefix[:-1])
        cut = len(self._path(""))
        remaining = tries()
        final = next(remaining)
        while True:
            try:
                for page in self.service.client().list(
                    self._path(folder) or None, offset=self._path(last), chunk_size=_PAGE
                ):
                    for meta in page:
                        key = meta["path"][cut:]
                        if key <= after or not key.startswith(prefix):
                            if key > max(after, prefix):
                                return
                            continue
                        yield ObjectInfo(key, meta["size"], meta["last_modified"])
                        last = key
                return
            except Exception as error:
                failure = self._failure(error)
                if not self.service.amend(failure):
                    if final or not failure.passing:
                        raise self.service.error(failure, self.service.list_action) from None
                    final = next(remaining)

    def delete(self, keys: Iterable[str]) -> None:
        paths = [self._path(key) for key in keys]
        if paths:
            action = self.service.delete_action
            self._run(action, lambda client: client.delete(paths), _is_missing)

    def upload(self, key: str, path: Path) -> None:
        def send(client: ObjectStore) -> Any:
            with path.open("rb") as file:
                return client.put(
                    self._path(key), file, chunk_size=_PART, max_concurrency=_PARTS_AT_ONCE
                )

        if not os.access(path, os.R_OK):
            raise InputError("the file cannot be read", file=str(path))
        self._run(self.service.put_action, send, bulk=True)

    def download(self, key: str, path: Path) -> None:
        def fetch(client: ObjectStore) -> bool:
            result = client.get(self._path(key))
            with WholeFile(path) as file:
                for chunk in result.stream(min_chunk_size=_READ_CHUNK):
                    file.write(chunk)
            return True

        found = self._run(self.service.get_action, fetch, _is_missing, bulk=True)
        if found.value is None:
            raise NotFoundError(f"{self.url}/{key} does not exist")

    def _write_if(
        self, key: str, data: bytes, mode: PutMode, refused: Callable[[Failure], bool]
    ) -> bool:
        def write(client: ObjectStore) -> bool:
            client.put(self._path(key), data, mode=mode, use_multipart=False)
            return True

        outcome = self._run(self.service.put_action, write, refused)
        if outcome.value is None and outcome.unsure:
            # The refusal may come from our own earlier try, whose answer was lost.
            present = self.get(key)
            return present is not None and present.data == data
        return outcome.value is True

    def _path(self, key: str) -> str:
        return f"{self.service.prefix}/{key}" if self.service.prefix else key

    def _run(
        self,
        action: str,
        operate: Callable[[ObjectStore], T],
        expected: Callable[[Failure], bool] = lambda failure: False,
        *,
        bulk: bool = False,
    ) -> _Outcome[T]:
        unsure = False
        remaining = tries()
        final = next(remaining)
        while True:
            try:
                return _Outcome(operate(self.service.client(bulk=bulk)), unsure)
            except DstackError:
                raise
            except Exception as error:
                failure = self._failure(error)
            if expected(failure):
                return _Outcome(None, unsure)
            if self.service.amend(failure):
                continue
            unsure = unsure or failure.unsure
            # obstore has tried the bulk ones again already, part by part.
            if final or bulk or not failure.passing:
                raise self.service.error(failure, action)
            final = next(remaining)

    def _failure(self, error: Exception) -> Failure:
        from obstore.exceptions import BaseError

        if isinstance(error, BaseError | OSError | ValueError):
            return read_failure(str(error))
        raise error


def _is_missing(failure: Failure) -> bool:
    return failure.missing
