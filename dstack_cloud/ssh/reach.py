"""How the client gets onto a machine: over SSH with its own key, or by being there already."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from dstack_cloud.clouds.base import Machine
from dstack_cloud.errors import UnreachableError
from dstack_cloud.machine.keys import generate, public_of
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
    """The public half of this client's SSH key; the pair is made when there is none.

    Each file appears whole, and a private key is never replaced: whoever was killed on the way, or
    makes one at the same time, leaves a pair that fits.
    """
    public = key.with_suffix(".pub")
    if not public.exists():
        key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not key.exists():
            _put(key, generate(owner).private, new=True)
        _put(public, public_of(key.read_text(), owner) + "\n")
    return public.read_text().strip()


def _put(path: Path, text: str, new: bool = False) -> None:
    """Write a file, readable by its owner only, at once; with ``new``, not over one there."""
    import tempfile

    descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    half = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        if not new:
            os.replace(half, path)
            return
        with contextlib.suppress(FileExistsError):
            os.link(half, path)
    finally:
        half.unlink(missing_ok=True)
