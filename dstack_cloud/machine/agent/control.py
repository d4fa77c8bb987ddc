"""What asks the attempt to end before its container does: one place, one lock, the strongest
cause wins."""

from __future__ import annotations

import threading
import time

# Weakest first. What ends the run counts for more than what ends only the machine; a graceful
# ending may still become an abort; a machine that has lost the run to another attempt must not
# touch anything, whatever else was asked.
CAUSES = (
    "moved",
    "interrupted",
    "fellow",
    "stopped",
    "max_duration",
    "max_cost",
    "disk",
    "aborted",
    "fenced",
)
WITHOUT_GRACE = ("aborted", "fenced")


class Control:
    """Shared by all threads. ``cause`` is None while nothing asks for the end."""

    def __init__(self, cause: str | None = None) -> None:
        self._condition = threading.Condition()
        self.cause = cause
        # The moment (monotonic) by which everything must be saved; None: there is no hurry.
        self.until: float | None = None
        self.container_ended = False
        # When the store said last (monotonic) that this attempt owns the run.
        self._owned = time.monotonic()
        self.over = threading.Event()

    def request(self, cause: str) -> None:
        """Ask for the end; a weaker cause than the present one changes nothing."""
        with self._condition:
            if self.cause is None or CAUSES.index(cause) > CAUSES.index(self.cause):
                self.cause = cause
                self._condition.notify_all()

    def interrupt(self, until: float) -> None:
        """The machine is being taken away: everything must be saved until then (monotonic)."""
        with self._condition:
            self.until = until if self.until is None else min(self.until, until)
        self.request("interrupted")

    def owned(self, since: float) -> None:
        """The store's answer, to a question asked at ``since``: the run is this attempt's."""
        self._owned = max(self._owned, since)

    def doubtful(self, heartbeat: float) -> bool:
        """Whether another attempt may own the run soon: after ``heartbeat`` seconds of silence."""
        return time.monotonic() - self._owned > heartbeat / 2

    @property
    def late(self) -> bool:
        """Whether there is no time left to save anything."""
        return self.until is not None and time.monotonic() >= self.until

    def end_of_container(self) -> None:
        with self._condition:
            self.container_ended = True
            self._condition.notify_all()

    def wait(self, seconds: float | None, seen: str | None = None) -> None:
        """Return when the container has ended, when there is another cause than ``seen``, or
        when the time has passed."""
        with self._condition:
            self._condition.wait_for(
                lambda: self.container_ended or self.cause != seen,
                # Some platforms cannot wait for more than this at once.
                None if seconds is None else max(0.0, min(seconds, 86400.0)),
            )

    def pause(self, seconds: float) -> None:
        """Sleep, less long if something asks for the end."""
        end = time.monotonic() + seconds
        with self._condition:
            self._condition.wait_for(
                lambda: self.cause is not None, max(0.0, end - time.monotonic())
            )

    @property
    def without_grace(self) -> bool:
        return self.cause in WITHOUT_GRACE
