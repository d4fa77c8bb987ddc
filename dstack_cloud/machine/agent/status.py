"""status.json: what the agent is doing, for those who follow and those who look it up."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from typing import Any

from .paths import Paths, read_json, write
from .times import now


class Status:
    """Thread-safe; every change is on the disk when the call returns."""

    def __init__(self, paths: Paths, region: str | None = None) -> None:
        self._paths = paths
        self._region = region
        self._lock = threading.Lock()
        self._errors: dict[str, str | None] = {}
        self._fields: dict[str, Any] = {
            "phase": "preparing",
            "since": now(),
            "detail": {},
            "image": None,
            "started_at": None,
            "container_started_at": None,
            "log_bytes": 0,
            "sync": {"behind": 0, "last_ok": None, "error": None, "warning": None},
            "host_key": None,
            "notice": None,
            "hours_left": None,
            "hours_left_at": None,
            "traffic": {"sent": 0, "received": 0},
            "prices": [],
        }
        # A restarted agent goes on with what its predecessor knew.
        self._fields.update(read_json(paths.status) or {})
        self.moved = threading.Event()

    def phase(self, name: str, **detail: object) -> None:
        """Enter a phase, or go on with it."""
        with self._lock:
            if self._fields["phase"] != name:
                self._fields.update(phase=name, since=now(), detail={})
                self.moved.set()
            self._fields["detail"].update(detail)
            self._save()

    def update(self, **fields: object) -> None:
        with self._lock:
            self._fields.update(fields)
            self._save()

    def sync(self, what: str, error: str | None, **fields: object) -> None:
        """How the copies of ``what`` (log, artifacts) go; None for well."""
        with self._lock:
            known = self._fields["sync"]
            before = (known["error"], known["warning"])
            self._errors[what] = error
            known.update(fields, error=next(filter(None, self._errors.values()), None))
            if before != (known["error"], known["warning"]):
                self.moved.set()
            self._save()

    def count(self, sent: int = 0, received: int = 0) -> None:
        """Bytes that went to the store, or came from it."""
        with self._lock:
            known = self._fields["traffic"]
            self._fields["traffic"] = {
                "sent": known["sent"] + sent,
                "received": known["received"] + received,
                "region": self._region,
            }

    def get(self, name: str) -> Any:
        return self._fields[name]

    def save(self) -> None:
        """Write the file, with the present length of the log."""
        with self._lock:
            self._save()

    def as_bytes(self) -> bytes:
        """The document of this moment."""
        with self._lock:
            return self._as_bytes()

    def _save(self) -> None:
        # A full disk is told by others; the next save may find room.
        with contextlib.suppress(OSError):
            write(self._paths.status, self._as_bytes())

    def _as_bytes(self) -> bytes:
        self._fields["updated_at"] = now()
        try:
            self._fields["log_bytes"] = os.path.getsize(self._paths.log)
        except FileNotFoundError:
            self._fields["log_bytes"] = 0
        return json.dumps(self._fields).encode()
