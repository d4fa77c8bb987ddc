"""A client that is killed leaves no machine, real ones this time: the machine's own timer ends it.

Three calls stand for all (see test_killed_anywhere.py for the rest): the machine is there and
nobody knows of it; it answers and its job has not been sent; its job is done and nobody looks.
"""

from __future__ import annotations

import pytest
from support.emulated import EVERY_CLOUD, Emulator, Project
from support.kill_cases import CALM, Case, carry_out
from support.lane import Lane

NO_JOB_S = 8


@pytest.mark.parametrize("when", ["unknown", "without-job", "unwatched"])
@EVERY_CLOUD
def test_killed_with_a_real_machine(emulator: Emulator, project: Project, when: str) -> None:
    words = emulator.words
    case = {
        "unknown": Case(words.launch, 1, "after"),
        "without-job": Case(words.get, 1, "before"),
        "unwatched": Case(words.poll, 2, "before"),
    }[when]
    lane = Lane(project.folder, emulator.environ)
    hasty = {"no_job": f"{NO_JOB_S}s", "heartbeat": "20s"}
    environ = lane.home(f"{words.cloud}-{when}", **(CALM if when == "unwatched" else hasty))
    carry_out(lane, environ, f"killed-{when}", case, NO_JOB_S)
