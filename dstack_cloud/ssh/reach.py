"""How the client gets onto a machine: over SSH with its own key, or by being there already."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dstack_cloud.clouds.base import Machine
from dstack_cloud.errors import UnreachableError
from dstack_cloud.machine.keys import generate
from dstack_cloud.machine.push import ROOT
from dstack_cloud.ssh.base import AgentHome, Session
from dstack_cloud.ssh.local import LocalSession


class SshReach:
    """Machines over SSH, as the agent's root there; ``advice`` is for who gets no connection."""

    def __init__(self, key: Path, owner: str, advice: str | None = None) -> None:
        self._key = key
        self._owner = owner
        self._advice = advice

    def home(self, machine: Machine) -> AgentHome:
        prefix = () if machine.user == "root" else ("sudo", "-n", "--")
        return AgentHome(ROOT, prefix=prefix)

    def session(self, machine: Machine, host_key: str, deadline_s: float) -> Session:
        from dstack_cloud.ssh.session import Endpoint, connect

        if machine.address is None:
            raise UnreachableError(f"machine {machine.id} has no address")
        self.public_key()
        endpoint = Endpoint(
            machine.address,
            machine.user,
            str(self._key),
            host_key,
            jump_host=machine.jump_host,
            advice=self._advice,
        )
        return connect(endpoint, deadline_s)

    def public_key(self) -> str:
        return client_public_key(self._key, self._owner)


class LocalReach:
    """The local cloud's machines: folders below ``machines`` on this one."""

    def __init__(self, machines: Path) -> None:
        self._machines = machines

    def home(self, machine: Machine) -> AgentHome:
        return AgentHome(str(self._machines / machine.id), python=sys.executable, own_machine=False)

    def session(self, machine: Machine, host_key: str, deadline_s: float) -> Session:
        return LocalSession()

    def public_key(self) -> str:
        return ""


def client_public_key(key: Path, owner: str) -> str:
    """The public half of this client's SSH key; the pair is made when there is none."""
    public = key.with_suffix(".pub")
    if not (key.exists() and public.exists()):
        pair = generate(owner)
        key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_private(key, pair.private)
        public.write_text(pair.public + "\n")
    return public.read_text().strip()


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
