"""Machines without containers: a state each, for tests of what surrounds machines.

They boot at once, run until they are ended, and nothing answers at their addresses.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime

from moto_fixtures.machine import imds
from moto_fixtures.machine.base import MachineSpec, OnExit
from moto_fixtures.machine.shell import FixtureError

_ADDRESSES = 254 * 254


@dataclass
class _Stub:
    spec: MachineSpec
    address: str
    launched: datetime
    reason: str | None = None
    notices: dict[str, str] = field(default_factory=dict)


class StubMachines:
    """Implements ``moto_fixtures.machine.base.Machines`` on no engine at all."""

    def __init__(self, on_exit: OnExit) -> None:
        self._on_exit = on_exit
        self._lock = threading.Lock()
        self._machines: dict[str, _Stub] = {}
        self._closed = False

    def launch(self, spec: MachineSpec) -> str:
        with self._lock:
            if self._closed:
                raise FixtureError("the emulator is closing")
            address = stub_address(len(self._machines))
            self._machines[spec.id] = _Stub(spec, address, datetime.now(UTC))
        return address

    def terminate(self, machine_id: str) -> None:
        self._end(machine_id, "terminated")

    def kill(self, machine_id: str) -> None:
        self._end(machine_id, "killed")

    def partition(self, machine_id: str, seconds: float) -> None:
        """Nothing to cut: a stub has no network. An unknown machine is an error all the same."""
        with self._lock:
            self._machines[machine_id]

    def notice(self, machine_id: str, action: str, at: datetime) -> None:
        with self._lock:
            self._machines[machine_id].notices.update(imds.notice_paths(action, at))

    def listing(self) -> list[dict[str, object]]:
        with self._lock:
            return [
                {
                    "id": stub.spec.id,
                    "address": stub.address,
                    "state": "running" if stub.reason is None else "off",
                    "container": None,
                    "started": imds.rfc3339(stub.launched),
                    "reason": stub.reason,
                    "notices": dict(stub.notices),
                }
                for stub in self._machines.values()
            ]

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for stub in self._machines.values():
                stub.reason = stub.reason or "terminated"

    def _end(self, machine_id: str, reason: str) -> None:
        with self._lock:
            stub = self._machines.get(machine_id)
            if stub is None or stub.reason is not None:
                return
            stub.reason = reason
        # As with real machines, whoever ends one hears of the end from another thread.
        threading.Thread(target=self._on_exit, args=(machine_id, reason)).start()


def stub_address(index: int) -> str:
    """The address of the n-th stub, on the loopback: refused at once. Pure."""
    if index >= _ADDRESSES:
        raise FixtureError(f"no more than {_ADDRESSES} stub machines")
    return f"127.213.{1 + index // 254}.{1 + index % 254}"
