"""What a machine asks of its cloud: one seam, a module for each cloud behind it (see ``open``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, Optional


class Notice(NamedTuple):
    """The machine will be taken away, ``seconds`` from now. ``action`` is terminate, stop,
    hibernate, maintenance (the host is to be serviced) or rebalance (an early warning)."""

    action: str
    seconds: float


# A notice as it stands now, or None. It may take its time, where the cloud can be asked to answer
# when there is something to say. Raises OSError, HTTPException, ValueError or KeyError.
Look = Callable[[], Optional[Notice]]


class Cloud:
    """A cloud that knows nothing of its machines: the caller's own computer."""

    # Seconds that the cloud leaves a machine between the power button and the cut.
    shutdown = 90.0
    # Between the tries to end the machine, in seconds. What powers itself off is gone, or not.
    pauses: Sequence[float] = (0.5, 1.0, 2.0)

    def __init__(self, job: Mapping[str, Any]) -> None:
        self._job = job

    def end(self) -> None:
        """Have the cloud end this very machine. StoreError if it is refused or unanswered."""

    def spot_prices(self, since: float) -> list[tuple[float, Decimal]]:
        """What this machine has cost since that moment (seconds since 1970), where that moves:
        moments and USD an hour, the earliest first. StoreError."""
        return []

    def looks(self) -> list[Look]:
        """The places where a notice may be."""
        return []

    def guard(self) -> None:
        """Keep containers from the machine's credentials, where the cloud itself does not. Done
        once there is an engine and before there is a container; harmless twice. Failure."""


def own_machine(job: Mapping[str, Any]) -> bool:
    """Whether the machine is the run's, and ends with it; else it is the caller's computer."""
    return bool(job["cloud"] != "local")
