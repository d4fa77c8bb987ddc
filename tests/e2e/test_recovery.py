"""A run whose machine is taken away goes on elsewhere, whoever follows it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from support.emulated import EVERY_CLOUD, Emulator, Project, wait_until

COUNTS = """
    workflows:
      - name: counts
        provider: docker
        image: ubuntu
        artifacts: [{path: output, mount: true}]
        resources: {gpu: T4, interruptible: true}
        commands:
          - mkdir -p output
          - echo "attempt $DSTACK_ATTEMPT resumed $DSTACK_RESUMED"
          - test "$DSTACK_ATTEMPT" = 2 || sleep infinity
          - echo the end
"""
SECOND = "attempt 2 resumed 1\nthe end\n"


def _row(project: Project, run: str) -> dict[str, object]:
    (row,) = [row for row in project.json("ps", "--all")["runs"] if row["run"] == run]
    return dict(row)


def _running(project: Project) -> str:
    """The name of the run whose container runs, once it does."""

    def names() -> list[str]:
        return [row["run"] for row in project.json("ps")["runs"] if row["state"] == "running"]

    return str(wait_until("it runs", names)[0])


def _started(project: Project, run: str, attempt: int = 1) -> None:
    wait_until(
        "the first line",
        lambda: f"attempt {attempt} " in project.cli("logs", run).stdout,
    )


def _cut_power(emulator: Emulator) -> None:
    (machine,) = emulator.machines()
    emulator.post(f"/_emulator/machines/{machine['id']}/kill")


def _fleets(emulator: Emulator) -> int:
    calls = emulator.get("/_emulator/calls")
    return sum(call["action"] == "CreateFleet" and call["outcome"] == "ok" for call in calls)


@EVERY_CLOUD
def test_a_power_cut_under_the_eyes_of_a_client(emulator: Emulator, project: Project) -> None:
    project.workflows(COUNTS)
    client = project.start("run", "counts", "-y")
    run = _running(project)
    _started(project, run)
    _cut_power(emulator)
    out, err = client.communicate(timeout=300)
    assert client.returncode == 0, err
    assert "ended without a word" in err
    # What the first attempt wrote was on the screen, or was lost with its machine's power.
    assert out.removeprefix("attempt 1 resumed 0\n") == SECOND
    row = _row(project, run)
    assert (row["state"], row["attempt"], row["exit_code"]) == ("done", 2, 0)
    assert emulator.machines() == []


def test_an_early_warning_where_it_was_asked_for(emulator: Emulator, project: Project) -> None:
    project.workflows(COUNTS.replace("commands:", "retry: {on: [rebalance]}\n        commands:"))
    client = project.start("run", "counts", "-y")
    run = _running(project)
    _started(project, run)
    (machine,) = emulator.machines()
    emulator.post(f"/_emulator/machines/{machine['id']}/interrupt", {"rebalance": True})
    out, err = client.communicate(timeout=300)
    assert client.returncode == 0, err
    assert f"the cloud warns that it may take {machine['id']} back" in err
    assert out.startswith("attempt 1 resumed 0\n")
    assert out.endswith(SECOND)
    assert emulator.machines() == []


def test_of_two_clients_one_launches_again(emulator: Emulator, project: Project) -> None:
    project.workflows(COUNTS)
    run = project.cli("run", "counts", "-y", "-d").stdout.strip()
    _started(project, run)
    _cut_power(emulator)
    wait_until("its loss is on record", lambda: project.state(run) == "recovering")
    before = _fleets(emulator)
    clients = [project.start("attach", run, "--json") for _ in range(2)]
    ends = [json.loads(client.communicate(timeout=300)[0]) for client in clients]
    assert [(end["attempt"], end["exit_code"]) for end in ends] == [(2, 0), (2, 0)]
    assert _fleets(emulator) == before + 1
    assert project.cli("logs", run).stdout.endswith(SECOND)
    assert emulator.machines() == []


def test_a_stop_between_two_attempts(emulator: Emulator, project: Project) -> None:
    project.workflows(COUNTS)
    run = project.cli("run", "counts", "-y", "-d").stdout.strip()
    _started(project, run)
    _cut_power(emulator)
    wait_until("its loss is on record", lambda: project.state(run) == "recovering")
    before = _fleets(emulator)
    stopped = project.cli("stop", run)
    assert stopped.returncode == 0, stopped.stderr
    assert project.state(run) == "stopped"
    attached = project.cli("attach", run)
    assert attached.returncode == 130, attached.stderr
    assert _fleets(emulator) == before
    assert emulator.machines() == []


def test_an_exit_code_that_asks_for_another_attempt(emulator: Emulator, project: Project) -> None:
    project.workflows("""
        workflows:
          - name: flaky
            provider: docker
            image: ubuntu
            retry: {on: [7], attempts: 3}
            commands: [echo "attempt $DSTACK_ATTEMPT", exit 7]
    """)
    done = project.cli("run", "flaky", "-y")
    assert done.returncode == 7, done.stderr
    assert done.stdout == "attempt 1\nattempt 2\nattempt 3\n"
    row = project.json("ps")["runs"][-1]
    assert (row["state"], row["attempt"]) == ("failed", 3)
    assert emulator.machines() == []


def test_a_run_that_asked_for_no_other_attempt_is_lost(
    emulator: Emulator, project: Project
) -> None:
    project.workflows(COUNTS.replace("interruptible: true", "interruptible: false"))
    run = project.cli("run", "counts", "-y", "-d").stdout.strip()
    _started(project, run)
    _cut_power(emulator)
    wait_until("its loss is on record", lambda: project.state(run) == "lost")
    attached: subprocess.CompletedProcess[str] = project.cli("attach", run)
    assert attached.returncode == 74, attached.stderr


def test_a_machine_that_is_cut_off_is_replaced_and_lets_go(
    emulator: Emulator, project: Project, tmp_path: Path
) -> None:
    timers = {"no_job": "2m", "heartbeat": "15s"}
    hasty = project.configured(tmp_path / "config" / "config.yaml", timers=timers)
    hasty.workflows(COUNTS)
    client = hasty.start("run", "counts", "-y")
    run = _running(hasty)
    (old,) = emulator.machines()
    emulator.post(f"/_emulator/machines/{old['id']}/partition", {"seconds": 60})
    out, err = client.communicate(timeout=300)
    assert client.returncode == 0, err
    assert "is cut off" in err
    assert out.endswith(SECOND)
    assert _row(hasty, run)["attempt"] == 2
    wait_until("the old one has ended, too", lambda: emulator.machines() == [])
