"""The store on an object service, through obstore: one implementation for every service.

What differs (how to connect, whose credentials, what an action is called) is in a `Service`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from dstack_cloud.errors import DstackError, InputError, NotFoundError
from dstack_cloud.storage.base import ObjectInfo, StoredObject
from dstack_cloud.storage.failures import Failure, broken_off, read_failure
from dstack_cloud.storage.retry import tries
from dstack_cloud.storage.whole import WholeFile

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

T = TypeVar("T")

_PART = 8 << 20
_PARTS_AT_ONCE = 4
_READ_CHUNK = 1 << 20
_PAGE = 1000
_DELETES_AT_ONCE = 8


class Service(Protocol):
    """An object service as one caller sees it."""

    prefix: str
    get_action: str
    put_action: str
    list_action: str
    delete_action: str
    deletes_many: bool
    """Whether one request deletes many objects, and those that are not there are fine."""

    def client(self, *, bulk: bool = False) -> ObjectStore:
        """A client that tries once; a ``bulk`` one has time for large bodies and tries again."""
        ...

    def version(self, meta: Mapping[str, Any]) -> str:
        """What a conditional write compares with, out of obstore's answer."""
        ...

    def at_version(self, version: str) -> PutMode:
        """How to write only over that version."""
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
            version = self.service.version(dict(result.meta))
            return StoredObject(bytes(result.bytes()), version)

        return self._run(self.service.get_action, read, _is_missing).value

    def put(self, key: str, data: bytes) -> None:
        self._run(self.service.put_action, lambda client: client.put(self._path(key), data))

    def create(self, key: str, data: bytes) -> bool:
        return self._write_if(key, data, "create", lambda failure: failure.status == 412)

    def replace(self, key: str, data: bytes, version: str) -> bool:
        return self._write_if(
            key,
            data,
            self.service.at_version(version),
            lambda failure: failure.status == 412 or failure.missing,
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
        if self.service.deletes_many or len(paths) < 2:
            self._delete(paths)
            return
        from concurrent.futures import ThreadPoolExecutor

        # obstore would end with the first that is not there, whatever became of the others.
        with ThreadPoolExecutor(_DELETES_AT_ONCE) as pool:
            for _ in pool.map(lambda path: self._delete([path]), paths):
                pass

    def _delete(self, paths: Sequence[str]) -> None:
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
            if broken_off(str(error)):
                raise KeyboardInterrupt from None
            return read_failure(str(error))
        raise error


def _is_missing(failure: Failure) -> bool:
    return failure.missing


def split_url(url: str, scheme: str) -> tuple[str, str]:
    """Bucket and prefix of ``scheme://NAME[/prefix]``; the bucket is empty for another scheme."""
    if not url.startswith(f"{scheme}://"):
        return "", ""
    bucket, _, prefix = url.removeprefix(f"{scheme}://").partition("/")
    prefix = prefix.strip("/")
    if any(part in ("", ".", "..") for part in prefix.split("/")) and prefix:
        raise InputError(f"'{url}' has an empty or dotted folder in it")
    return bucket, prefix


def client_options(endpoint: str | None, bulk: bool) -> ClientConfig:
    """How long obstore waits; an endpoint of one's own may go without TLS."""
    options: ClientConfig = {
        "allow_http": bool(endpoint and endpoint.startswith("http://")),
        "connect_timeout": "5s",
    }
    if bulk:
        options["timeout"] = "12h"
        # Runs while a part is sent, too: 8 MB, four at once, on a slow line.
        options["read_timeout"] = "180s"
    else:
        options["timeout"] = "20s"
    return options


def retries(bulk: bool) -> RetryConfig:
    """A part of a large body is sent again by obstore, all else by `BucketStore`."""
    from datetime import timedelta

    return {
        "max_retries": 5 if bulk else 0,
        "retry_timeout": timedelta(seconds=30),
        "backoff": {"max_backoff": timedelta(seconds=3)},
    }
