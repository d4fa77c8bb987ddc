"""The local cloud: this machine's Docker as a machine, for a first look and for trying things.

A machine is a folder in which the agent lives; nothing here ever powers anything off.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from dstack_cloud.clouds.base import (
    Check,
    LaunchAnswer,
    LaunchRequest,
    Leftover,
    Machine,
    MachineState,
)
from dstack_cloud.errors import InputError

REGION = "local"
MACHINE = "this"
_RECORD = "cloud.json"


class LocalCloud:
    """Machines are folders below ``home``; ``no_job`` seconds is how long one waits for a job."""

    name = "local"

    def __init__(self, home: Path, no_job: int) -> None:
        self._home = home
        self._no_job = no_job

    def folder(self, machine_id: str) -> Path:
        """The agent's folder of a machine."""
        return self._home / machine_id

    def launch(self, request: LaunchRequest) -> LaunchAnswer:
        problem = docker_problem()
        if problem is not None:
            raise InputError(
                f"Docker is not usable here: {problem}",
                "install Docker and start it; `docker info` must work for this user",
            )
        machine_id = f"local-{request.run}-{request.attempt}"
        folder = self.folder(machine_id)
        folder.mkdir(parents=True, exist_ok=True)
        launched = datetime.now(UTC)
        record = {"run": request.run, "attempt": request.attempt, "at": launched.timestamp()}
        (folder / _RECORD).write_text(json.dumps(record))
        return LaunchAnswer(self.machine(REGION, machine_id))

    def machine(self, region: str, machine_id: str) -> Machine | None:
        folder = self.folder(machine_id)
        try:
            record = json.loads((folder / _RECORD).read_text())
        except (OSError, ValueError):
            return None
        launched = datetime.fromtimestamp(record["at"], UTC)
        return Machine(
            cloud=self.name,
            region=REGION,
            id=machine_id,
            machine=MACHINE,
            state=self._state(folder, launched),
            address="localhost",
            user="",
            price=Decimal(0),
            on_demand=Decimal(0),
            run=record["run"],
            attempt=record["attempt"],
            launched_at=launched,
            disk=0,
            public=False,
        )

    def machines(self, region: str, run: str | None = None) -> list[Machine]:
        folders = sorted(self._home.glob("local-*")) if self._home.is_dir() else []
        found = [self.machine(region, folder.name) for folder in folders]
        return [
            machine
            for machine in found
            if machine is not None
            and machine.state is not MachineState.GONE
            and run in (None, machine.run)
        ]

    def terminate(self, region: str, ids: Iterable[str]) -> None:
        for machine_id in ids:
            folder = self.folder(machine_id)
            if (process := _agent_process(folder)) is not None:
                # The whole group: its supervisor would start the agent again.
                os.killpg(os.getpgid(process), signal.SIGKILL)
            if (machine := self.machine(region, machine_id)) is not None:
                _docker("rm", "--force", f"dstack-{machine.run}-{machine.attempt}")
            shutil.rmtree(folder, ignore_errors=True)

    def admit(self, machine: Machine) -> None:
        """Nobody needs to be let in: this is the caller's own machine."""

    def leftovers(self, region: str) -> list[Leftover]:
        return [
            Leftover(self.name, REGION, "machine", found.id, found.run, found.attempt)
            for found in self.machines(region)
        ]

    def remove(self, leftover: Leftover) -> None:
        self.terminate(leftover.region, [leftover.id])

    def check(self, region: str) -> Iterator[Check]:
        problem = docker_problem()
        yield Check(
            "docker",
            problem is None,
            problem or "the engine answers",
            None if problem is None else "install Docker and start it",
        )

    def _state(self, folder: Path, launched: datetime) -> MachineState:
        if _agent_process(folder):
            return MachineState.RUNNING
        if (folder / "end.json").exists():
            return MachineState.GONE
        # A job without an agent is a moment of its start or restart, or a host that went down.
        waited = (datetime.now(UTC) - launched).total_seconds()
        return MachineState.STARTING if waited < self._no_job else MachineState.GONE


def docker_problem() -> str | None:
    """Why Docker cannot be used here, None if it can."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    done = _docker("version", "--format", "{{.Server.Version}}")
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or ["the engine does not answer"])[-1]
    return None


def _docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True)


def _agent_process(folder: Path) -> int | None:
    """The process of the folder's agent: who holds its lock; None when nobody does."""
    try:
        with (folder / "serve.lock").open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return int(lock.read().strip() or 0) or None
    except (OSError, ValueError):
        return None
    return None
