"""The emulator's own time: the real one, plus what a test moved it forward."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta


class Clock:
    """Governs what the emulator itself lets expire or change: sessions, spot prices, notices."""

    def __init__(self) -> None:
        self._moved = threading.Condition()
        self._offset = timedelta()

    def now(self) -> datetime:
        """Aware, UTC."""
        return datetime.now(UTC) + self._offset

    def advance(self, seconds: float) -> None:
        """Move forward; whoever waits for a time wakes up and looks again."""
        with self._moved:
            self._offset += timedelta(seconds=seconds)
            self._moved.notify_all()

    def reset(self) -> None:
        """Back to the real time: between tests, not within one."""
        with self._moved:
            self._offset = timedelta()

    @property
    def offset_s(self) -> float:
        return self._offset.total_seconds()

    def wait_until(self, time: datetime) -> None:
        """Block until the emulator's time has reached ``time``."""
        with self._moved:
            while (left := (time - self.now()).total_seconds()) > 0:
                self._moved.wait(left)
