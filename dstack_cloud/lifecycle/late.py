"""A machine that came when another was there already, or that could not be used: on the bill."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from dstack_cloud.clouds.base import Machine
from dstack_cloud.errors import DstackError
from dstack_cloud.lifecycle.machine_record import machine_as_json
from dstack_cloud.state import attempts
from dstack_cloud.storage.base import Store
from dstack_cloud.units import utc_now


def note_late(store: Store, run: str, attempt: int, machine: Machine) -> None:
    """Put its seconds on record, now that it has been ended. Only its cost is lost where that
    fails."""
    now = utc_now()
    ended = replace(machine, launched_at=machine.launched_at or now, ended_at=now)
    with contextlib.suppress(DstackError):
        attempts.record_late(store, run, attempt, machine_as_json(ended, ""))
