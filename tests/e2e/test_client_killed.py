"""A client that is killed leaves no machine, real ones this time: the machine's own timer ends it.

Three calls stand for all (see test_killed_anywhere.py for the rest): the machine is there and
nobody knows of it; it answers and its job has not been sent; its job is done and nobody looks.
"""

from __future__ import annotations

import pytest
from support.emulated import Emulator, Project
from support.kill_cases import CALM, Case, carry_out
from support.lane import Lane

NO_JOB_S = 8


@pytest.mark.parametrize(
    "case",
    [
        Case("CreateFleet", 1, "after"),
        Case("GetObject", 1, "before"),
        Case("DescribeInstances", 2, "before"),
    ],
    ids=["unknown", "without-job", "unwatched"],
)
def test_killed_with_a_real_machine(emulator: Emulator, project: Project, case: Case) -> None:
    lane = Lane(project.folder, emulator.environ)
    hasty = {"no_job": f"{NO_JOB_S}s", "heartbeat": "20s"}
    ended = case.action == "DescribeInstances"
    environ = lane.home(case.action, **(CALM if ended else hasty))
    carry_out(lane, environ, f"killed-{case.action.lower()}", case, NO_JOB_S)
