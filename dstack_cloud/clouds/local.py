"""The local cloud: this machine's Docker as a machine, for a first look and for trying things.

A machine is a folder in which the agent lives; nothing here ever powers anything off. The folder
of a run that ended well is swept away when a later one is launched: the store has its results.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
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
MACHINE = "localhost"
_RECORD = "cloud.json"
# Whoever follows a run has read its last words long before.
_SWEPT_AFTER_S = 60.0


class LocalCloud:
    """Machines are folders below ``home``, those of one store.

    A machine is given up after ``no_job`` seconds without a job, or ``heartbeat`` seconds without
    a sign of its agent.
    """

    name = "local"

    def __init__(self, home: Path, no_job: int, heartbeat: int) -> None:
        self._home = home
        self._no_job = no_job
        self._heartbeat = heartbeat

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
        self._sweep()
        # Stores side by side may have runs of the same name, but the engine has its names once.
        mark = hashlib.sha256(f"{self._home}\0{request.token}".encode()).hexdigest()[:6]
        machine_id = f"local-{request.run}-{request.attempt}-{mark}"
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
        return [
            machine
            for machine in self._all()
            if machine.state is not MachineState.GONE and run in (None, machine.run)
        ]

    def terminate(self, region: str, ids: Iterable[str]) -> None:
        for machine_id in ids:
            folder = self.folder(machine_id)
            if (process := _agent_process(folder)) is not None:
                # The whole group: its supervisor would start the agent again.
                os.killpg(os.getpgid(process), signal.SIGKILL)
            _docker("rm", "--force", container_name(machine_id))
            shutil.rmtree(folder, ignore_errors=True)

    def admit(self, machine: Machine) -> None:
        """Nobody needs to be let in: this is the caller's own machine."""

    def leftovers(self, region: str) -> list[Leftover]:
        """Machines, and the folders of those that ended without having everything stored."""
        found = []
        for machine in self._all():
            kind, detail = "machine", ""
            if machine.state is MachineState.GONE:
                end = self.folder(machine.id) / "end.json"
                if _all_stored(end):
                    continue
                ended = end.exists()
                kind = "folder"
                detail = "artifacts that were not stored" if ended else "its agent ended early"
            place = machine.id, machine.run, machine.attempt, detail
            found.append(Leftover(self.name, REGION, kind, *place))
        return found

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
        since, patience = launched.timestamp(), self._no_job
        if (folder / "job.json").exists():
            since, patience = _last_sign(folder, since), self._heartbeat
        return MachineState.STARTING if time.time() - since < patience else MachineState.GONE

    def _all(self) -> list[Machine]:
        folders = sorted(self._home.glob("local-*")) if self._home.is_dir() else []
        found = [self.machine(REGION, folder.name) for folder in folders]
        return [machine for machine in found if machine is not None]

    def _sweep(self) -> None:
        for machine in self._all():
            end = self.folder(machine.id) / "end.json"
            if machine.state is not MachineState.GONE or not _all_stored(end):
                continue
            if time.time() - end.stat().st_mtime > _SWEPT_AFTER_S:
                self.terminate(REGION, [machine.id])


def container_name(machine_id: str) -> str:
    """The name of a machine's container in this host's engine."""
    return f"dstack-{machine_id}"


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


def _last_sign(folder: Path, launched: float) -> float:
    """When the agent last told that it lives, seconds since the epoch."""
    try:
        return max(launched, (folder / "volatile" / "heartbeat").stat().st_mtime)
    except OSError:
        return launched


def _all_stored(end: Path) -> bool:
    """Whether an attempt has ended with everything in the store."""
    try:
        return all(item["stored"] for item in json.loads(end.read_text())["artifacts"])
    except (OSError, ValueError):
        return False


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
