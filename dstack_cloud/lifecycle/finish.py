"""The end as the caller sees it: the machine is gone, this is what it cost."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from dstack_cloud.clouds.base import Machine, MachineState
from dstack_cloud.cost import Cost, Interval, cost_of
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.units import parse_time, utc_now

# The agent ends its machine itself; a client that still sees it after this long helps.
_PATIENCE_S = 20.0
_LIMIT_S = 300.0
_POLL_S = 0.25


def confirm_gone(tools: Tools, machine: Machine) -> bool:
    """Wait until the cloud says that the machine is gone; end it ourselves if it lingers.

    False when even that did not help within some minutes: the caller must be told.
    """
    begun = time.monotonic()
    asked = False
    while (waited := time.monotonic() - begun) < _LIMIT_S:
        now = tools.cloud.machine(machine.region, machine.id)
        if now is None or now.state is MachineState.GONE:
            return True
        if waited > _PATIENCE_S and not asked:
            tools.cloud.terminate(machine.region, [machine.id])
            asked = True
        time.sleep(min(_POLL_S * (1 + waited / 10), 3.0))
    return False


def bill(machine: Machine, end: Mapping[str, Any]) -> Cost:
    """The bill of an attempt from its launch to its recorded end, or to now."""
    if machine.launched_at is None:
        return Cost(None, None)
    ended = parse_time(str(end["ended_at"])) if end.get("ended_at") else utc_now()
    interval = Interval(
        machine.cloud,
        machine.launched_at,
        max(ended, machine.launched_at),
        machine.price,
        machine.on_demand,
    )
    return cost_of([interval])
