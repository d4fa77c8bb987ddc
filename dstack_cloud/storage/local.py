"""A folder as the store: an object is a file, its key the path.

Objects appear by link or rename, so that every reader sees whole ones, a writer may be killed at
any point, and `create` is decided by the operating system among all processes. `replace` has no
such single step; it and `put` hold a lock, which the system frees when its holder dies. An
object's version is its content's hash, as it is in S3.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from dstack_cloud.errors import InputError, InternalError, NotFoundError, PermissionDeniedError
from dstack_cloud.storage.base import ObjectInfo, StoredObject
from dstack_cloud.storage.whole import WholeFile

# In the folder itself: links and renames don't cross file systems.
_WORK = ".dstack-store"
_CHUNK = 1 << 20


class LocalStore:
    """`Store` in a folder, which is made by the first write."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)

    def get(self, key: str) -> StoredObject | None:
        with _failures(self.url):
            try:
                data = self._path(key).read_bytes()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return None
        return StoredObject(data, _version(data))

    def put(self, key: str, data: bytes) -> None:
        with _failures(self.url), self._staged(data) as staged, self._lock():
            os.replace(staged, self._place(key))

    def create(self, key: str, data: bytes) -> bool:
        with _failures(self.url), self._staged(data) as staged:
            try:
                os.link(staged, self._place(key))
            except FileExistsError:
                return False
        return True

    def replace(self, key: str, data: bytes, version: str) -> bool:
        with _failures(self.url), self._staged(data) as staged, self._lock():
            present = self.get(key)
            if present is None or present.version != version:
                return False
            os.replace(staged, self._path(key))
        return True

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        folder = prefix.rpartition("/")[0]
        with _failures(self.url):
            yield from self._walk(f"{folder}/" if folder else "", prefix, after)

    def delete(self, keys: Iterable[str]) -> None:
        with _failures(self.url):
            for key in keys:
                self._path(key).unlink(missing_ok=True)

    def upload(self, key: str, path: Path) -> None:
        with _failures(self.url), self._work_file() as staged:
            try:
                shutil.copyfile(path, staged)
            except PermissionError:
                raise InputError("the file cannot be read", file=str(path)) from None
            with self._lock():
                os.replace(staged, self._place(key))

    def download(self, key: str, path: Path) -> None:
        with _failures(self.url):
            try:
                source = self._path(key).open("rb")
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                raise NotFoundError(f"{self.url}/{key} does not exist") from None
        with source, WholeFile(path) as target:
            while chunk := source.read(_CHUNK):
                target.write(chunk)

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if any(part in ("", ".", "..") for part in parts) or parts[0] == _WORK:
            raise InternalError(f"'{key}' is not a key")
        return self.root / key

    def _place(self, key: str) -> Path:
        """The object's path, with the folders above it made."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _walk(self, folder: str, prefix: str, after: str) -> Iterator[ObjectInfo]:
        try:
            with os.scandir(self.root / folder) as entries:
                # A folder sorts as its keys do: 'a.txt' comes before 'a/b'.
                found = sorted(
                    (f"{folder}{entry.name}{'/' if entry.is_dir(follow_symlinks=False) else ''}")
                    for entry in entries
                    if folder or entry.name != _WORK
                )
        except (FileNotFoundError, NotADirectoryError):
            return
        for key in found:
            if key.endswith("/"):
                wanted = key.startswith(prefix) or prefix.startswith(key)
                if wanted and (key > after or after.startswith(key)):
                    yield from self._walk(key, prefix, after)
            elif key > after and key.startswith(prefix):
                try:
                    status = os.stat(self.root / key)
                except FileNotFoundError:  # deleted since, or a link to nowhere
                    continue
                if not stat.S_ISREG(status.st_mode):
                    continue
                modified = datetime.fromtimestamp(status.st_mtime, UTC)
                yield ObjectInfo(key, status.st_size, modified)

    @contextmanager
    def _work_file(self) -> Iterator[str]:
        work = self.root / _WORK
        work.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=work)
        os.close(handle)
        try:
            yield name
        finally:
            if os.path.exists(name):
                os.unlink(name)

    @contextmanager
    def _staged(self, data: bytes) -> Iterator[str]:
        with self._work_file() as name:
            Path(name).write_bytes(data)
            yield name

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with open(self.root / _WORK / "lock", "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def open_local(folder: str) -> LocalStore:
    """The store in ``folder`` (``~`` is the home folder), which need not exist yet."""
    root = Path(folder).expanduser().absolute()
    if root.exists() and not root.is_dir():
        raise InputError(f"the store '{root}' is not a folder")
    return LocalStore(root)


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def _failures(store: str) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise PermissionDeniedError(
            f"the store {store} is not yours to use: '{error.filename}'",
            "correct its owner, or choose another store",
        ) from None
    except OSError as error:
        why = error.strerror or str(error)
        hint = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
        raise InputError(f"the store {store} cannot be used: {why}", hint) from None
