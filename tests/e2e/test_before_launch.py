"""What `run` does before anything costs money: it asks ahead, and makes nothing."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Any

import pytest
from support.emulated import EVERY_CLOUD, Emulator, Project

WORKFLOW = """
    workflows:
      - name: ask
        provider: docker
        image: ubuntu
        commands: [echo hello]
        resources: {gpu: T4, interruptible: true}
"""


def calls(emulator: Emulator, since: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = emulator.get(f"/_emulator/calls?since={since}")
    return found


@EVERY_CLOUD
@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_until_the_user_has_agreed_nothing_is_made(
    emulator: Emulator, project: Project, words: tuple[str, ...]
) -> None:
    project.workflows(WORKFLOW)
    since = max((call["sequence"] for call in calls(emulator, 0)), default=0)
    done = project.cli("run", "ask", *words)
    assert done.returncode == (0 if words else 2), done.stderr
    seen = [call["action"] for call in calls(emulator, since)]
    reading = emulator.words.reading
    assert [one for one in seen if not any(fnmatch(one, kind) for kind in reading)] == []
    # What the launch will need is on its way while the user reads; a mere plan needs none of it.
    ahead = {*emulator.words.ahead}
    # The plan itself says whether an image of our own is booted.
    assert ahead & set(seen) == ({emulator.words.images} if words else ahead)
