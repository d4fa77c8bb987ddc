"""The container's ports on this machine's loopback, for as long as its attempt is followed."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from dstack_cloud.lifecycle.follow import Following
from dstack_cloud.lifecycle.record import RunRecord
from dstack_cloud.lifecycle.report import Reporter
from dstack_cloud.lifecycle.start import container_name
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.machine.push import token_argv
from dstack_cloud.spec import ContainerSpec
from dstack_cloud.ssh.base import AgentHome, ConnectionLostError, Pipe, Session
from dstack_cloud.ssh.tunnel import Tunnel

_LOOPBACK = "127.0.0.1"
# A caller who comes while the connection is being made again is kept waiting for so long.
_PATIENCE_S = 20.0
# A port that has been published but that nobody listens at takes a connection and drops it at
# once. One that is still open after so long has somebody behind it.
_HOLDS_S = 0.5
_AGAIN_S = 0.5


class Ports:
    """Opens them when the container runs, tells where each is once something answers there."""

    def __init__(self, report: Reporter, container: ContainerSpec, name: str) -> None:
        self._report = report
        self._container = container
        self._name = name
        self._changed = threading.Condition()
        self._session: Session | None = None
        self._home: AgentHome | None = None
        self._closed = False
        self._tunnels: list[Tunnel] = []

    def reached(self, session: Session | None, home: AgentHome) -> None:
        """The connection to the machine from now on; None while there is none."""
        with self._changed:
            self._session, self._home = session, home
            self._changed.notify_all()

    def status(self, status: Mapping[str, Any]) -> None:
        """The agent's status has changed."""
        if status["phase"] != "running" or self._tunnels:
            return
        for port in self._container.ports:
            far = _Far(self, port)
            tunnel = Tunnel(port, far.dial)
            self._tunnels.append(tunnel)
            threading.Thread(target=self._tell, args=(port, tunnel, far), daemon=True).start()

    def close(self) -> None:
        """Nothing is forwarded any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for tunnel in self._tunnels:
            tunnel.close()

    def connection(self) -> tuple[Session, AgentHome]:
        """The present one, waited for. Raises ConnectionLostError."""
        with self._changed:
            there = self._changed.wait_for(lambda: self._session or self._closed, _PATIENCE_S)
            if not there or self._session is None or self._home is None:
                raise ConnectionLostError("there is no connection to the machine")
            return self._session, self._home

    def _tell(self, port: int, tunnel: Tunnel, far: _Far) -> None:
        while not self._closed:
            try:
                if _answers(far.dial()):
                    words = f"http://{_LOOPBACK}:{tunnel.port}{self._page(port)}"
                    taken = f" ({port} is taken here)" if tunnel.port != port else ""
                    self._report.address(f"port {port}", words + taken)
                    return
            except ConnectionLostError:
                pass
            time.sleep(_AGAIN_S)

    def _page(self, port: int) -> str:
        """What to open there. Raises ConnectionLostError."""
        page = self._container.pages.get(port, "")
        if "{token}" in page:
            session, home = self.connection()
            argv = [*home.prefix, *token_argv(home.root, home.python)]
            page = page.replace("{token}", session.run(argv).stdout.decode().strip())
        return page

    def published(self, port: int) -> int:
        """The machine's port that leads to one of the container's. Raises ConnectionLostError."""
        session, home = self.connection()
        if home.own_machine:
            return port
        # On the caller's own machine the engine has picked a free one.
        done = session.run(["docker", "port", self._name, f"{port}/tcp"])
        _, _, number = done.stdout.decode().partition("\n")[0].rpartition(":")
        if done.code != 0 or not number.isdigit():
            raise ConnectionLostError(f"port {port} of {self._name} is not open")
        return int(number)


class _Far:
    """The way to one port of the container."""

    def __init__(self, ports: Ports, port: int) -> None:
        self._ports = ports
        self._port = port
        self._published: int | None = None

    def dial(self) -> Pipe:
        if self._published is None:
            self._published = self._ports.published(self._port)
        session, _ = self._ports.connection()
        return session.forward(_LOOPBACK, self._published)


def ports_of(tools: Tools, record: RunRecord, target: Following) -> Ports:
    """Those of a run's attempt."""
    home = tools.reach.home(target.machine)
    name = container_name(home, target.run, target.attempt, target.machine)
    return Ports(tools.report, record.container, name)


def _answers(pipe: Pipe) -> bool:
    """Whether somebody is behind a fresh connection. Closes it."""
    try:
        pipe.settimeout(_HOLDS_S)
        return bool(pipe.recv(1))
    except TimeoutError:
        return True
    except (OSError, EOFError):
        return False
    finally:
        pipe.close()
