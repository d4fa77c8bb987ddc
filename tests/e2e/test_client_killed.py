"""A client that is killed leaves no machine: the machine's own timer ends it."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from support.emulated import Emulator, Project, wait_until

NO_JOB_S = 8


@pytest.fixture
def hasty(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project with a configuration whose machines wait only seconds for a job."""
    present = Path(project.environ["DSTACK_CLOUD_CONFIG"])
    config = yaml.safe_load(present.read_text())
    config["timers"] = {"no_job": f"{NO_JOB_S}s", "heartbeat": "20s"}
    file = tmp_path_factory.mktemp("config") / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    return replace(project, environ={**project.environ, "DSTACK_CLOUD_CONFIG": str(file)})


@pytest.mark.parametrize(
    ("action", "when"),
    [("CreateFleet", "before"), ("CreateFleet", "after"), ("DeleteLaunchTemplate", "before")],
)
def test_killed_around_a_launch(emulator: Emulator, hasty: Project, action: str, when: str) -> None:
    hasty.workflows("""
        workflows:
          - name: victim
            provider: docker
            image: ubuntu
            resources: {gpu: T4, interruptible: true}
            commands: [echo never]
    """)
    hold = emulator.post("/_emulator/holds", {"action": action, "nth": 1, "when": when})
    client = hasty.start("run", "victim", "-y")
    wait_until(
        f"{action} is held",
        lambda: any(row["state"] == "waiting" for row in emulator.get("/_emulator/holds")),
    )
    client.send_signal(signal.SIGKILL)
    client.communicate()
    emulator.post(f"/_emulator/holds/{hold['id']}/release", {"drop": True})

    wait_until("every machine is gone", lambda: not emulator.machines(), NO_JOB_S + 40)
    run = max(
        (row["run"] for row in hasty.json("ps", "--all")["runs"] if row["workflow"] == "victim"),
        key=lambda name: int(name.rpartition("-")[2]),
    )
    wait_until("the run is on record as lost", lambda: hasty.state(run) == "lost", NO_JOB_S + 40)
    assert hasty.cli("gc", "-y").returncode == 0
    assert hasty.json("gc")["leftovers"] == []
