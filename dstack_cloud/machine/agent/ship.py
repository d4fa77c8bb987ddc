"""Log segments and the status, on their way to the store while the container runs."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from . import folders
from .errors import StoreError
from .paths import Paths
from .status import Status
from .store import Store

_SEGMENT = 1 << 20
_STATUS = 10.0


def interval(age: float) -> float:
    """Seconds between segments: short at first, when somebody is likely to look, longer later,
    so that a run of a week does not leave a hundred thousand objects."""
    return 2.0 if age < 600 else 5.0 if age < 7200 else 15.0


class Shipper:
    """Knows from the store itself how far the log got: there is no other state to lose."""

    def __init__(self, store: Store, job: Mapping[str, Any], paths: Paths, status: Status) -> None:
        self._store = store
        self._paths = paths
        self._status = status
        self._prefix = folders.own(job)
        self._lock = threading.Lock()
        self._shipped = -1
        self._job = job
        self._recorded = False
        self._begun = time.monotonic()
        self._status_at = 0.0

    def ship(self, whole: bool = True) -> None:
        """Put what the store has not yet; with ``whole`` False only full segments. StoreError."""
        with self._lock:
            if self._shipped < 0:
                self._shipped = self._found()
            while True:
                data = self._next()
                if not data or (len(data) < _SEGMENT // 2 and not whole):
                    return
                self._store.put(f"{self._prefix}log/{self._shipped:020d}", data)
                self._shipped += len(data)
                self._status.count(sent=len(data))

    def _found(self) -> int:
        segments = self._store.list(self._prefix + "log/")
        if not segments:
            return 0
        last = segments[-1]
        return int(last.key.rpartition("/")[2]) + last.size

    def _next(self) -> bytes:
        """The next segment: whole records, at most 1 MB."""
        try:
            with open(self._paths.log, "rb") as file:
                file.seek(self._shipped)
                data = file.read(_SEGMENT)
        except FileNotFoundError:
            return b""
        return data[: data.rfind(b"\n") + 1]

    def record_host_key(self) -> None:
        """machine.json again, once the machine has a host key of its own."""
        record = self._job["machine_record"]
        if self._recorded or not record or not os.path.exists(self._paths.host_key):
            return
        with open(self._paths.host_key) as file:
            key = file.read().strip()
        data = json.dumps({**record, "host_key": key}).encode()
        self._store.put(self._prefix + "machine.json", data)
        self._recorded = True
        self._status.update(host_key=key)

    def put_status(self) -> None:
        self._store.put(self._prefix + "status.json", self._status.as_bytes())
        self._status_at = time.monotonic()

    def run(self, over: threading.Event) -> None:
        """Until it is over: segments and the status, as often as the contract says."""
        last = 0.0
        failing = False
        while not over.is_set():
            moved = self._status.moved.wait(1.0)
            if over.is_set():
                return
            self._status.moved.clear()
            age = time.monotonic()
            try:
                self.record_host_key()
                self.ship(whole=age - last >= interval(age - self._begun))
                last = age if age - last >= interval(age - self._begun) else last
                if moved or age - self._status_at > _STATUS:
                    self.put_status()
                if failing:
                    failing = False
                    self._status.sync("log", None)
            except StoreError as error:
                failing = True
                self._status.sync("log", str(error))
                over.wait(2.0)
