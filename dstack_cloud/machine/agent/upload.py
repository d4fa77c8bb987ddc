"""Copies files into the store: by rclone into a bucket, by plain copies into a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from . import folders, rclone
from .paths import Paths
from .rclone import Result
from .store import FolderStore, Store


class Item(NamedTuple):
    """A file ``base/name`` that becomes ``artifacts/<run>/<name>``."""

    base: str
    name: str


class Uploader:
    """One for each thread: ``lane`` tells their files apart."""

    def __init__(self, store: Store, job: Mapping[str, Any], paths: Paths, lane: str) -> None:
        self._store = store
        self._job = job
        self._files = os.path.join(paths.sync, lane + ".files")
        self._log = os.path.join(paths.sync, lane + ".log")

    def copy(self, items: Iterable[Item], stop: Callable[[], bool]) -> Result:
        """Copy until all is done or ``stop`` says so. An object is replaced whole or not at all."""
        stored: set[str] = set()
        error: str | None = None
        for base, group in groupby(sorted(items), lambda item: item.base):
            names = [item.name for item in group]
            if isinstance(self._store, FolderStore):
                result = self._to_folder(self._store, base, names, stop)
            else:
                result = self._to_bucket(base, names, stop)
            stored |= result.stored
            error = error or result.error
            if result.stopped:
                return Result(stored, error, True)
        return Result(stored, error)

    def _to_folder(
        self, store: FolderStore, base: str, names: list[str], stop: Callable[[], bool]
    ) -> Result:
        stored: set[str] = set()
        first: str | None = None
        for name in names:
            key = folders.artifacts(self._job) + name.replace(os.sep, "/")
            try:
                if not store.copy_in(os.path.join(base, name), key, stop):
                    return Result(stored, first, True)
                stored.add(name)
            except FileNotFoundError:
                continue
            except OSError as error:
                first = first or str(error)
        return Result(stored, first)

    def _to_bucket(self, base: str, names: list[str], stop: Callable[[], bool]) -> Result:
        try:
            with open(self._files, "wb") as file:
                file.writelines(os.fsencode(name) + b"\n" for name in names)
            argv = rclone.up_argv(self._job, base, self._files)
            result = rclone.run(argv, self._job, self._log, stop)
        except OSError as error:
            return Result(set(), str(error))
        told = {_as_told(name): name for name in names}
        return result._replace(stored={told[name] for name in result.stored if name in told})


def _as_told(name: str) -> str:
    """A name as rclone's log has it: what is not UTF-8 is replaced."""
    return os.fsencode(name).decode("utf-8", "replace")
