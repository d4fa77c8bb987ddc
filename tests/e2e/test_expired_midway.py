"""Credentials that expire while a run is followed: the client says so, and the run goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from support.emulated import EVERY_CLOUD, Emulator, Project, wait_until

pytestmark = EVERY_CLOUD


@pytest.fixture
def expiring(emulator: Emulator) -> Iterator[None]:
    yield
    emulator.delete("/_emulator/faults")


def expire(emulator: Emulator) -> None:
    """The daily user's credentials from now on; the machine has its own role's."""
    whose = {"principal": emulator.words.user}
    fault = {**emulator.words.expired, "match": whose, "times": None}
    emulator.post("/_emulator/faults", fault)


ENDS = """
    workflows:
      - name: ends
        provider: docker
        image: ubuntu
        artifacts: [output]
        resources: {gpu: T4, interruptible: true}
        commands:
          - mkdir output
          - echo begun
          - until test -e go; do sleep 0.1; done
          - echo saved > output/x
          - exit 5
"""


def begun(emulator: Emulator, project: Project) -> str:
    """The machine's container, once the job has written its first line."""
    (run,) = wait_until(
        "the run is there",
        lambda: [r["run"] for r in project.json("ps")["runs"] if r["state"] == "running"],
    )
    wait_until("its first line", lambda: "begun\n" in project.cli("logs", run).stdout)
    (machine,) = emulator.machines()
    return str(machine["container"])


def go(container: str) -> None:
    argv = ["docker", "exec", container, "touch", "/var/lib/dstack/workflow/go"]
    subprocess.run(argv, check=True)


def test_the_end_is_told_all_the_same(emulator: Emulator, project: Project, expiring: None) -> None:
    project.workflows(ENDS)
    client = project.start("run", "ends", "-y")
    container = begun(emulator, project)
    expire(emulator)
    go(container)
    out, err = client.communicate(timeout=300)
    assert (client.returncode, out) == (5, "begun\n"), err
    assert "is gone could not be seen" in err
    assert "it ends itself" in err
    assert emulator.words.login in err
    assert emulator.get("/_emulator/machines?until=none&wait=60")[-1]["state"] == "off"


def test_a_client_that_can_no_longer_follow(
    emulator: Emulator, project: Project, expiring: None
) -> None:
    project.workflows(ENDS)
    client = project.start("run", "ends", "-y")
    container = begun(emulator, project)
    expire(emulator)
    # The sessions are the children of the one that listens.
    cut = "kill $(ps -o pid= --ppid $(systemctl show -p MainPID --value ssh))"
    subprocess.run(["docker", "exec", container, "sh", "-c", cut], check=True)
    out, err = client.communicate(timeout=300)
    assert (client.returncode, out) == (77, "begun\n"), err
    assert "goes on, but cannot be followed from here" in err
    assert "dstack-cloud attach" in err
    assert "Traceback" not in err
    emulator.delete("/_emulator/faults")
    (run,) = [row["run"] for row in project.json("ps")["runs"] if row["state"] == "running"]
    go(container)
    again = project.cli("attach", run)
    assert (again.returncode, again.stdout) == (5, "begun\n"), again.stderr
    assert emulator.machines() == []
