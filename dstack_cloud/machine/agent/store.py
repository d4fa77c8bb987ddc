"""The store as the agent needs it: whole objects under string keys, and one conditional write."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from .errors import StoreError

WORK = ".dstack-store"
_PIECE = 1 << 20


class Listed(NamedTuple):
    key: str
    size: int


class Store(Protocol):
    """Every method may raise StoreError; an object that is not there is an answer."""

    def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, data: bytes) -> None: ...

    def create(self, key: str, data: bytes) -> bool:
        """Write only if nothing is there; False when something else is."""
        ...

    def list(self, prefix: str) -> list[Listed]: ...

    def delete(self, key: str) -> None: ...

    def fetch(self, key: str, path: str) -> bool:
        """Copy the object to a file; False when it is not there."""
        ...

    def fingerprint(self, key: str) -> tuple[int, str] | None:
        """The object's size and MD5, in hexadecimal, empty where that is not known; None when it
        is not there."""
        ...

    def each(self, prefix: str) -> Iterator[Listed]:
        """As `list`, page by page."""
        ...


class FolderStore:
    """A local folder, laid out as the keys say."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def path(self, key: str) -> str:
        return os.path.join(self.folder, *key.split("/"))

    def _half(self, key: str) -> tuple[str, str]:
        """The object's path and that of its unfinished copy, which no listing shows."""
        path = self.path(key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        # Where the client keeps its own: on the same file system, and in no listing.
        work = os.path.join(self.folder, WORK)
        os.makedirs(work, exist_ok=True)
        return path, os.path.join(work, f"agent-{os.getpid()}-{threading.get_ident()}")

    def get(self, key: str) -> bytes | None:
        try:
            with open(self.path(key), "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise StoreError(str(error)) from error

    def put(self, key: str, data: bytes) -> None:
        self._write(key, data, only_new=False)

    def create(self, key: str, data: bytes) -> bool:
        return self._write(key, data, only_new=True) or self.get(key) == data

    def _write(self, key: str, data: bytes, only_new: bool) -> bool:
        try:
            path, half = self._half(key)
            with open(half, "wb") as file:
                file.write(data)
            if not only_new:
                os.replace(half, path)
                return True
            try:
                os.link(half, path)
            except FileExistsError:
                return False
            finally:
                os.unlink(half)
            return True
        except OSError as error:
            raise StoreError(str(error)) from error

    def list(self, prefix: str) -> list[Listed]:
        return sorted(self.each(prefix))

    def each(self, prefix: str) -> Iterator[Listed]:
        start = self.path(prefix.rpartition("/")[0])
        for folder, _, names in os.walk(start):
            for name in names:
                path = os.path.join(folder, name)
                key = os.path.relpath(path, self.folder).replace(os.sep, "/")
                if key.startswith(prefix) and not key.startswith(f"{WORK}/"):
                    yield Listed(key, os.path.getsize(path))

    def delete(self, key: str) -> None:
        try:
            os.unlink(self.path(key))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise StoreError(str(error)) from error

    def fetch(self, key: str, path: str) -> bool:
        try:
            shutil.copyfile(self.path(key), path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreError(str(error)) from error
        return True

    def fingerprint(self, key: str) -> tuple[int, str] | None:
        digest = hashlib.md5()
        size = 0
        try:
            with open(self.path(key), "rb") as file:
                for part in iter(lambda: file.read(_PIECE), b""):
                    digest.update(part)
                    size += len(part)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(str(error)) from error
        return size, digest.hexdigest()

    def copy_in(self, source: str, key: str, stop: Callable[[], bool]) -> bool:
        """Copy a file into the store, whole or not at all, with its time of change. False when
        ``stop`` said so on the way. OSError."""
        path, half = self._half(key)
        try:
            with open(source, "rb") as file, open(half, "wb") as copy:
                for part in iter(lambda: file.read(_PIECE), b""):
                    copy.write(part)
                    if stop():
                        return False
            shutil.copystat(source, half)
            if stop():
                return False
            os.replace(half, path)
            return True
        finally:
            if os.path.exists(half):
                os.unlink(half)
