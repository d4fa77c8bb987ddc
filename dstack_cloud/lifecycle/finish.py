"""The end as the caller sees it: the machine is gone."""

from __future__ import annotations

import contextlib
import time

from dstack_cloud.clouds.base import PLACEMENT, Machine, MachineState
from dstack_cloud.errors import DstackError
from dstack_cloud.lifecycle.tools import Tools

# The agent ends its machine itself; a client that still sees it after this long helps.
_PATIENCE_S = 20.0
_LIMIT_S = 300.0
_POLL_S = 0.25


def confirm_gone(tools: Tools, machine: Machine) -> bool:
    """Wait until the cloud says that the machine is gone, and those launched beside it; end
    ourselves what lingers.

    False when even that did not help within some minutes: the caller must be told.
    """
    gone = [_gone(tools, one) for one in machine.nodes]
    if all(gone) and machine.fellows:
        _clear_placement(tools, machine)
    return all(gone)


def _clear_placement(tools: Tools, machine: Machine) -> None:
    """Remove what has kept the run's machines together, of earlier attempts, too."""
    # It costs nothing, and where it cannot go now, `gc` finds it.
    with contextlib.suppress(DstackError):
        for leftover in tools.cloud.leftovers(machine.region):
            if leftover.kind == PLACEMENT and leftover.run == machine.run:
                tools.cloud.remove(leftover)


def end_stopped(tools: Tools, machine: Machine) -> None:
    """End those of an attempt's machines that have only stopped: each keeps its disk, on the bill.

    The others have work to save, and end by themselves.
    """
    for one in machine.nodes:
        now = tools.cloud.machine(one.region, one.id)
        if now is not None and now.state is MachineState.STOPPED:
            tools.cloud.terminate(one.region, [one.id])


def _gone(tools: Tools, machine: Machine) -> bool:
    begun = time.monotonic()
    asked = False
    while (waited := time.monotonic() - begun) < _LIMIT_S:
        now = tools.cloud.machine(machine.region, machine.id)
        if now is None or now.state is MachineState.GONE:
            return True
        # One that has only stopped will not go by itself.
        if (waited > _PATIENCE_S or now.state is MachineState.STOPPED) and not asked:
            tools.cloud.terminate(machine.region, [machine.id])
            asked = True
        time.sleep(min(_POLL_S * (1 + waited / 10), 3.0))
    return False
