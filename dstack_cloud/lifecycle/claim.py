"""The lease on a claimed attempt: kept while its client launches a machine, judged by others.

A client may be killed, or sleep with its laptop, between the claim and the moment at which an agent
works for the attempt. While it lives it renews the lease; another client that sees no renewal for
the time that the intent promises takes over (`takeover`). The one that was asleep asks before each
launch and after it: what it has launched too late it ends.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from dstack_cloud.errors import DstackError, TryAgainError
from dstack_cloud.state import leases
from dstack_cloud.storage.base import Store

# Renewals in the time of a lease: some may fail, or be slow.
_RENEWALS = 4


class TakenOverError(TryAgainError):
    """Another client has taken over the attempt that this one had claimed."""


class Claim:
    """This client's lease on an attempt, from the claim to `close`.

    A launch that is quicker than the first renewal writes nothing: an absent lease is one that was
    given with the claim. Threads may share it.
    """

    def __init__(
        self,
        store: Store,
        run: str,
        attempt: int,
        by: str,
        seconds: float,
        clocks: tuple[Callable[[], float], ...] = (time.monotonic, time.time),
    ) -> None:
        self._store = store
        self._of = (run, attempt)
        self._claim = leases.new_claim()
        self._by = by
        self._seconds = seconds
        self._clocks = clocks
        self._renewed = self._now()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self.lost = False

    def keep(self) -> None:
        """Renew it from now on, in the background."""
        threading.Thread(target=self._keep, name="lease", daemon=True).start()

    def held(self) -> bool:
        """Whether it is still this client's: known for sure, or asked of the store.

        Raises what the store raises.
        """
        with self._lock:
            if self.lost or self._fresh():
                return not self.lost
            return self._renew()

    def require(self) -> None:
        """Raises TakenOverError where it is another client's by now, and what the store raises."""
        if not self.held():
            run, attempt = self._of
            raise TakenOverError(f"another client has taken over attempt {attempt} of {run}")

    def gone(self) -> bool:
        """Whether it is another client's for sure."""
        with contextlib.suppress(DstackError):
            return not self.held()
        return False

    def close(self) -> None:
        """No more renewals: an agent works for the attempt, or it has ended."""
        self._closed.set()

    def _keep(self) -> None:
        while not self._closed.wait(self._seconds / _RENEWALS):
            # A store that is out of reach is asked again; whoever sees no renewal may take over.
            with self._lock, contextlib.suppress(DstackError):
                if self.lost or self._closed.is_set() or not self._renew():
                    return

    def _renew(self) -> bool:
        asked = self._now()
        run, attempt = self._of
        self.lost = not leases.renew(self._store, run, attempt, self._claim, self._by)
        if not self.lost:
            self._renewed = asked
        return not self.lost

    def _now(self) -> tuple[float, ...]:
        return tuple(clock() for clock in self._clocks)

    def _fresh(self) -> bool:
        # One clock stands still while the computer sleeps, the other may be set: the longer counts.
        ages = (now - then for now, then in zip(self._now(), self._renewed, strict=True))
        return max(ages) < self._seconds / 2


class Lapse:
    """How long another client's lease has stood still, by this client's own clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._version: object = self  # Like none that a store gives.

    def seconds(self, version: str | None) -> float:
        """Seconds since the last renewal that was seen, given the lease's version now."""
        if version != self._version:
            self._version, self._since = version, self._clock()
        return self._clock() - self._since
