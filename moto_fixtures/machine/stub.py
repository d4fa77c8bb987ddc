"""Machines without containers: cheap enough for a hundred of them in one test.

One whose user data is of our own making boots (see ``stub_machine``): a few processes that behave
as the machine would. Any other is a state that runs until it is ended, and nothing answers at its
address.
"""

from __future__ import annotations

import shutil
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from moto_fixtures.machine.base import MachineSpec, OnExit
from moto_fixtures.machine.metadata_server import notice_paths
from moto_fixtures.machine.served import Credentials, Served, rfc3339
from moto_fixtures.machine.shell import FixtureError
from moto_fixtures.machine.stub_machine import StubMachine, listen_for_ssh
from moto_fixtures.machine.stub_user_data import UserData, read_user_data

_ADDRESSES = 254 * 254
# Other emulators on this host have stubs of their own: their addresses are passed over.
_TRIES = 1000


@dataclass
class _Stub:
    served: Served
    reason: str | None = None
    ending: str | None = None
    machine: StubMachine | None = None

    @property
    def spec(self) -> MachineSpec:
        return self.served.spec


class StubMachines:
    """Implements ``moto_fixtures.machine.base.Machines`` on no engine at all.

    ``credentials`` is asked for a role's credentials each time that a machine asks for them, and
    ``folder`` holds the files of those that boot; without the two none does.
    """

    def __init__(
        self,
        on_exit: OnExit,
        credentials: Credentials | None = None,
        folder: Path | None = None,
    ) -> None:
        self._on_exit = on_exit
        self._credentials = credentials
        self._folder = folder
        self._lock = threading.Lock()
        self._machines: dict[str, _Stub] = {}
        self._next = 0
        self._closed = False

    def launch(self, spec: MachineSpec) -> str:
        data = None if self._credentials is None else read_user_data(spec.user_data)
        with self._lock:
            if self._closed:
                raise FixtureError("the emulator is closing")
            if data is None:
                served = Served(spec, self._address(), datetime.now(UTC))
                self._machines[spec.id] = _Stub(served)
                return served.address
            for _ in range(_TRIES):
                address = self._address()
                door = listen_for_ssh(address)
                if door is not None:
                    break
            else:
                raise FixtureError("no address of a stub has its port 22 free")
            stub = self._machines[spec.id] = _Stub(Served(spec, address, datetime.now(UTC)))
            assert self._credentials is not None
            assert self._folder is not None
            folder = self._folder / spec.id
            stub.machine = StubMachine(stub.served, self._credentials, folder, door)
        threading.Thread(target=self._live, args=(stub, data), name=f"stub-{spec.id}").start()
        return address

    def terminate(self, machine_id: str, patience: float | None = None) -> None:
        self._end(machine_id, "terminated", patience)

    def kill(self, machine_id: str) -> None:
        self._end(machine_id, "killed")

    def partition(self, machine_id: str, seconds: float) -> None:
        """Nothing to cut: a stub has no network. An unknown machine is an error all the same."""
        with self._lock:
            self._machines[machine_id]

    def notice(self, machine_id: str, action: str, at: datetime) -> None:
        with self._lock:
            stub = self._machines[machine_id]
        stub.served.announce(notice_paths(stub.spec, action, at))

    def keep_disk(self, machine_id: str, image: str) -> None:
        """A stub has no disk: the image is a name, and machines that boot it are stubs like any."""
        with self._lock:
            self._machines[machine_id]

    def forget_disk(self, image: str) -> None:
        """There was none."""

    def listing(self) -> list[dict[str, object]]:
        with self._lock:
            return [
                {
                    "id": stub.spec.id,
                    "address": stub.served.address,
                    "state": "running" if stub.reason is None else "off",
                    "container": None,
                    "started": rfc3339(stub.served.launched),
                    "reason": stub.reason,
                    "notices": dict(stub.served.notices),
                }
                for stub in self._machines.values()
            ]

    def close(self) -> None:
        with self._lock:
            self._closed = True
            stubs = list(self._machines.values())
            for stub in stubs:
                stub.reason = stub.reason or "terminated"
        for stub in stubs:
            if stub.machine is not None:
                stub.machine.cut()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _address(self) -> str:
        self._next += 1
        return stub_address(self._next - 1)

    def _live(self, stub: _Stub, data: UserData) -> None:
        """From the boot to the end of a machine that boots."""
        assert stub.machine is not None
        try:
            stub.machine.live(data)
        except OSError as error:
            print(f"stub {stub.spec.id} did not start: {error}", file=sys.stderr, flush=True)
        with self._lock:
            if self._closed:
                return
            stub.reason = stub.ending or "poweroff"
        self._on_exit(stub.spec.id, stub.reason)

    def _end(self, machine_id: str, reason: str, patience: float | None = None) -> None:
        with self._lock:
            stub = self._machines.get(machine_id)
            if stub is None or stub.reason is not None:
                return
            stub.ending = stub.ending or reason
            if stub.machine is None:
                stub.reason = reason
        # As with real machines, whoever ends one hears of the end from another thread.
        if stub.machine is None:
            threading.Thread(target=self._on_exit, args=(machine_id, reason)).start()
        elif reason == "killed":
            stub.machine.cut()
        else:
            threading.Thread(target=stub.machine.shut_down, args=(patience,), daemon=True).start()


def stub_address(index: int) -> str:
    """The address of the n-th stub, on the loopback: refused at once. Pure."""
    if index >= _ADDRESSES:
        raise FixtureError(f"no more than {_ADDRESSES} stub machines")
    return f"127.213.{1 + index // 254}.{1 + index % 254}"
