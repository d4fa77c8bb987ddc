"""Getting onto the machine of a run, from the moment that it has an address."""

from __future__ import annotations

import contextlib
import time
from typing import Protocol

from dstack_cloud.clouds.base import Machine, MachineState
from dstack_cloud.errors import DstackError, MachineLostError, UnreachableError
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.ssh.base import Session

# One try of this length, then a look at whether the machine still exists at all: one that died
# without a word must be told of within 15 s.
_TRY_S = 10.0
_ADDRESS_POLL_S = 0.2
# Of the time that a machine waits for its job: whoever cannot reach it says so before it ends
# itself, which would look like a machine that was taken back.
CONNECT_SHARE = 0.9
_GONE = (MachineState.GONE, MachineState.ENDING, MachineState.STOPPED)


class Known(Protocol):
    """A machine that was launched, and the public host key that it answers with."""

    @property
    def machine(self) -> Machine: ...
    @property
    def host_key(self) -> str: ...


def connect(tools: Tools, launched: Known, deadline_s: float) -> tuple[Session, Machine]:
    """A session with the machine, and the machine as it is now.

    Raises MachineLostError when the machine ends meanwhile, UnreachableError when
    ``deadline_s`` seconds have passed, HostKeyMismatchError when another host answers.
    """
    deadline = time.monotonic() + deadline_s
    machine = launched.machine
    while True:
        if machine.address is not None:
            left = max(1.0, deadline - time.monotonic())
            try:
                session = tools.reach.session(machine, launched.host_key, min(_TRY_S, left))
                return session, machine
            except UnreachableError:
                if time.monotonic() > deadline:
                    raise
                readmit(tools, machine)
        elif time.monotonic() > deadline:
            raise UnreachableError(
                f"machine {machine.id} got no address in {deadline_s:.0f} s",
                "its subnet may give no public addresses: name another in the configuration, or "
                "set public_ip there to false and reach it over a VPN or a jump_host",
            )
        else:
            time.sleep(_ADDRESS_POLL_S)
        machine = still_there(tools, machine)


def readmit(tools: Tools, machine: Machine) -> None:
    """Let the caller's present address in: behind NAT it may be another one by now.

    What goes wrong here shows in the next try to connect.
    """
    with contextlib.suppress(DstackError):
        tools.cloud.admit(machine)


def still_there(tools: Tools, machine: Machine) -> Machine:
    """The machine as it is now. Raises MachineLostError when it has ended or is ending."""
    now = tools.cloud.machine(machine.region, machine.id)
    if now is None or now.state in _GONE:
        raise MachineLostError(
            f"machine {machine.id} is {now.state if now else 'gone'} before the run's end",
            "the cloud may have taken it back; run the workflow again",
        )
    return machine.seen(now)
