"""A machine that the cloud calls running and nobody hears of: over SSH, or through the store."""

from __future__ import annotations

import time
from collections.abc import Callable

from dstack_cloud.clouds.base import Machine
from dstack_cloud.errors import MachineLostError
from dstack_cloud.lifecycle.ending import record_end
from dstack_cloud.lifecycle.own_clock import by_own_clock
from dstack_cloud.lifecycle.record import record_from_json
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.state import attempts
from dstack_cloud.state.runs import RunState, read_run
from dstack_cloud.units import format_duration, utc_now


class Silence:
    """How long an attempt has given no sign of life, by this client's own clock.

    A sign is a connection, or a status in the store that is another than before: what time it
    names does not matter, for the machine's clock may be off.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._status: object = None

    def broken(self) -> None:
        """There was a connection until now."""
        self._since = self._clock()

    def seconds(self, status: object) -> float:
        """Seconds since the last sign, given the status that is in the store now."""
        if status != self._status:
            self._status, self._since = status, self._clock()
        return self._clock() - self._since


def take_over(tools: Tools, run: str, attempt: int, machine: Machine, silence: Silence) -> bool:
    """End an attempt whose machine has been silent for the heartbeat's time; False otherwise, and
    for a run that no attempt follows: it may only be this client that is cut off.

    The end comes first: it fences the machine, which stops by itself as soon as it reads it.
    """
    seconds = silence.seconds(attempts.read_status(tools.store, run, attempt))
    if seconds < tools.timers.heartbeat:
        return False
    record = by_own_clock(tools.store, record_from_json(read_run(tools.store, run)))
    if not record.outlives(attempt, utc_now()):
        return False
    error = MachineLostError(
        f"machine {machine.id} is cut off: no sign of it for {format_duration(seconds)}",
        "what reached the store before is kept: dstack-cloud logs, dstack-cloud artifacts list",
    )
    lost = RunState.LOST
    record_end(tools.store, run, attempt, lost, "machine-lost", error, retry=True)
    tools.cloud.terminate(machine.region, machine.ids)
    return True
