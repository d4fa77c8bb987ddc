"""Attempts that still save their work while a later one has begun: it waits for their ends."""

from __future__ import annotations

import time
from collections import defaultdict

from dstack_cloud.lifecycle.cut_off import Silence, take_over
from dstack_cloud.lifecycle.machine_record import machine_from_json
from dstack_cloud.lifecycle.record import record_from_json
from dstack_cloud.lifecycle.recover import tell_if_lost
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.state import attempts
from dstack_cloud.state.runs import read_run

_POLL_S = 1.0


def await_earlier(tools: Tools, run: str, attempt: int) -> None:
    """Return once every attempt before this one has ended.

    A machine that ended without a word gets its end from here, and so does one that is cut off:
    nobody else might follow it any more. Raises what the cloud and the store raise.
    """
    silences: defaultdict[int, Silence] = defaultdict(Silence)
    while left := attempts.unended(tools.store, run, attempt):
        tools.report.working("waiting", f"attempt {left[-1]} is saving its work")
        for number in left:
            tell_if_lost(tools, record_from_json(read_run(tools.store, run)), number)
            recorded = attempts.read_machine(tools.store, run, number)
            if recorded and attempts.read_end(tools.store, run, number) is None:
                machine, _ = machine_from_json(recorded)
                take_over(tools, run, number, machine, silences[number])
        time.sleep(_POLL_S)
