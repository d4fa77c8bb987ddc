"""Secrets of the local cloud: a file that only its owner can read, beside the store."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dstack_cloud.errors import DstackError, InputError
from dstack_cloud.secret_manager import Secret
from dstack_cloud.units import format_time, utc_now


class LocalSecrets:
    """``<store>.secrets.json``: not in the store, which may be shared or copied."""

    def __init__(self, store: str) -> None:
        store = os.path.abspath(store)
        self._file = Path(f"{store}.secrets.json")

    def set(self, name: str, value: str) -> None:
        """Keep a value, in place of a former one."""
        now = format_time(utc_now())
        with self._changing() as kept:
            created = kept.get(name, {}).get("created_at", now)
            kept[name] = {"value": value, "created_at": created, "changed_at": now}

    def listing(self) -> list[Secret]:
        """All that are kept, by name."""
        return [
            Secret(name, one["created_at"], one["changed_at"])
            for name, one in sorted(self._read().items())
        ]

    def values(self, names: Sequence[str]) -> Mapping[str, str]:
        """The values of those among ``names`` that are kept."""
        kept = self._read()
        return {name: kept[name]["value"] for name in names if name in kept}

    def delete(self, name: str) -> None:
        """Keep it no longer."""
        with self._changing() as kept:
            kept.pop(name, None)

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            kept: dict[str, dict[str, str]] = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise DstackError(f"{self._file} cannot be read: {error.strerror}") from None
        except ValueError:
            # Without the cause: it would quote the file.
            raise InputError(
                "is not what 'secrets set' writes",
                "delete it and set them again",
                file=str(self._file),
            ) from None
        return kept

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, dict[str, str]]]:
        """The file's content, to be changed and written whole; one process at a time."""
        new = self._file.with_name(self._file.name + ".new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._file.parent, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                kept = self._read()
                yield kept
                new.unlink(missing_ok=True)
                with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    json.dump(kept, file)
                    file.flush()
                    os.fsync(file.fileno())
                new.replace(self._file)
            finally:
                os.close(lock)
        except OSError as error:
            raise DstackError(f"{self._file} cannot be written: {error.strerror}") from None
