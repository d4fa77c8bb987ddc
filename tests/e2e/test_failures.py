"""What goes wrong on the machine: in plain words, with the contract's code, and no machine left."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.emulated import EVERY_CLOUD, Emulator, Project, wait_until

pytestmark = EVERY_CLOUD


def workflow(image: str, *commands: str, more: str = "") -> str:
    """A workflow file with the one workflow ``job``."""
    return f"""
workflows:
  - name: job
    provider: docker
    image: "{image}"
    commands: {json.dumps(list(commands) or ["echo never"])}
    artifacts: [output]
    resources: {{gpu: T4, interruptible: true}}
    {more}
"""


def failed(emulator: Emulator, project: Project, *args: str) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON document of a run; the machine is gone and the run on record as failed."""
    done = project.cli("run", "job", "-y", "--json", *args)
    assert "Traceback" not in done.stderr + done.stdout
    document = json.loads(done.stdout)
    assert emulator.machines() == []
    assert project.state(document["run"]) == "failed"
    assert document["error"] is None or document["error"]["exit_code"] == done.returncode
    return done.returncode, document


@contextmanager
def silent_registry(address: str) -> Iterator[str]:
    """A registry that takes connections and never answers."""
    taken: list[socket.socket] = []
    with socket.create_server((address, 0)) as server:

        def take() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        host, port = server.getsockname()
        try:
            yield f"{host}:{port}"
        finally:
            for connection in taken:
                connection.close()


def gateway(emulator: Emulator) -> str:
    """The host's address as machines see it."""
    return str(emulator.network["gateway"])


def registry(emulator: Emulator) -> str:
    """The registry that the machines' Docker pulls from, by its own address."""
    return f"{gateway(emulator)}:{emulator.network['registry_port']}"


def test_an_image_that_does_not_exist(emulator: Emulator, project: Project) -> None:
    image = f"{registry(emulator)}/library/nothing:1"
    project.workflows(workflow(image))
    code, found = failed(emulator, project)
    assert (code, found["kind"], found["reason"]) == (2, "input", "image")
    assert found["error"]["message"] == f"the image {image} does not exist"
    assert "name and tag" in found["error"]["hint"]


def test_a_registry_that_cannot_be_reached(emulator: Emulator, project: Project) -> None:
    with socket.socket() as closed:
        closed.bind((gateway(emulator), 0))
        image = f"{gateway(emulator)}:{closed.getsockname()[1]}/nobody/nothing"
        project.workflows(workflow(image))
        code, found = failed(emulator, project)
    assert (code, found["kind"], found["reason"]) == (75, "unreachable", "registry")
    assert found["error"]["message"].startswith(f"the registry of {image} cannot be reached: ")


def test_a_pull_that_stalls(emulator: Emulator, project: Project, tmp_path: Path) -> None:
    hasty = project.configured(tmp_path / "config" / "config.yaml", timers={"pull_stall": "3s"})
    with silent_registry(gateway(emulator)) as address:
        project.workflows(workflow(f"{address}/nobody/slow:1"))
        code, found = failed(emulator, hasty)
    assert (code, found["kind"], found["reason"]) == (75, "unreachable", "registry")
    assert "made no progress for 3 seconds" in found["error"]["message"]
    assert "timers.pull_stall" in found["error"]["hint"]


@contextmanager
def before_the_job(emulator: Emulator) -> Iterator[Any]:
    """Hold the launch's answer back, so that the machine can be prepared while it boots."""
    order = {"action": emulator.words.launch, "nth": 1, "when": "after"}
    hold = emulator.post("/_emulator/holds", order)

    def prepare(*command: str) -> None:
        wait_until("the launch is held", lambda: _waiting(emulator))
        # Where an operation launches, its answer may be held before the machine is there.
        (machine,) = wait_until("its machine", emulator.machines)
        argv = [part.format(machine=machine["container"]) for part in command]
        # A machine that has only just begun to boot refuses some of it.
        wait_until(
            shlex.join(argv), lambda: subprocess.run(argv, capture_output=True).returncode == 0
        )
        emulator.post(f"/_emulator/holds/{hold['id']}/release", {})

    try:
        yield prepare
    finally:
        emulator.delete("/_emulator/holds")


def _waiting(emulator: Emulator) -> bool:
    return any(row["state"] == "waiting" for row in emulator.get("/_emulator/holds"))


def prepared(
    emulator: Emulator, project: Project, *command: str
) -> tuple[int, dict[str, Any], str]:
    """A run on a machine that a command of this host has changed before the job came."""
    with before_the_job(emulator) as prepare:
        client = project.start("run", "job", "-y", "--json")
        try:
            prepare(*command)
            out, err = client.communicate(timeout=300)
        finally:
            client.kill()
    assert "Traceback" not in err + out
    document = json.loads(out)
    assert emulator.machines() == []
    assert project.state(document["run"]) == "failed"
    return client.returncode, document, document["run"]


def test_a_full_disk(emulator: Emulator, project: Project) -> None:
    project.workflows(
        workflow(
            "ubuntu",
            "mkdir output && echo kept > output/x",
            "echo begun",
            "dd if=/dev/zero of=big bs=1M count=200",
            "echo never",
        )
    )
    small = "mkdir -p /var/lib/dstack && mount -t tmpfs -o size=80m tmpfs /var/lib/dstack"
    code, found, run = prepared(emulator, project, "docker", "exec", "{machine}", "sh", "-c", small)
    assert (code, found["kind"], found["reason"]) == (2, "input", "disk")
    assert "disk: 200GB" in found["error"]["hint"]
    assert "never" not in project.cli("logs", run).stdout
    listed = project.json("artifacts", "list", run)["artifacts"]
    assert [file["path"] for file in listed] == ["output/x"]


def test_a_container_killed_for_memory(emulator: Emulator, project: Project) -> None:
    project.workflows(
        workflow(
            "dstackai/miniconda:3.10",
            "mkdir output && echo kept > output/x",
            "echo begun",
            "until test -e go; do sleep 0.1; done",
            "python3 -c \"b = b'x' * (400 << 20); print(len(b))\"",
        )
    )
    started = project.cli("run", "job", "-y", "-d")
    assert started.returncode == 0, started.stderr
    run = started.stdout.strip()
    wait_until("its first line", lambda: "begun\n" in project.cli("logs", run).stdout)
    (machine,) = emulator.machines()
    inside = ["docker", "exec", machine["container"]]
    # An emulated machine has the host's memory: what is short is the container's share of it.
    less = ["docker", "update", "--memory", "100m", "--memory-swap", "100m", f"dstack-{run}-1"]
    subprocess.run([*inside, *less], check=True, capture_output=True)
    subprocess.run([*inside, "touch", "/var/lib/dstack/workflow/go"], check=True)
    told = project.cli("attach", run)
    # The shell in the container has its own word for it.
    assert (told.returncode, told.stdout) == (137, "begun\nKilled\n"), told.stderr
    assert "the container was killed for want of memory" in told.stderr
    assert "`memory` in the workflow's resources" in told.stderr
    assert emulator.machines() == []
    assert project.state(run) == "failed"
    listed = project.json("artifacts", "list", run)["artifacts"]
    assert [file["path"] for file in listed] == ["output/x"]


@pytest.mark.parametrize("code", [1, 127])
def test_the_containers_own_end(emulator: Emulator, project: Project, code: int) -> None:
    project.workflows(workflow("ubuntu", "exit 1" if code == 1 else "no-such-program"))
    done, found = failed(emulator, project)
    assert (done, found["kind"], found["exit_code"]) == (code, "exit", code)
