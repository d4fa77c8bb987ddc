"""What a handler of one call is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto_fixtures.gcp.call import Call
from moto_fixtures.gcp.operations import Operation, OperationFailed, Place, Work, place_of
from moto_fixtures.gcp.project import stamp
from moto_fixtures.shared.faults import Fault

if TYPE_CHECKING:
    from moto_fixtures.gcp.emulator import Emulator


@dataclass
class Request:
    """One authorized call on its way through the emulator. ``fault`` is what the operation that
    it begins is to suffer."""

    emulator: Emulator
    call: Call
    fault: Fault | None = None

    @property
    def now(self) -> str:
        return stamp(self.emulator.clock.now())

    def begin(
        self, place: Place, kind: str, target: str, target_id: str | None, work: Work
    ) -> dict[str, Any]:
        """Begin an operation, and answer with it as it is then."""
        operations = self.emulator.operations
        return operations.view(operations.begin(self.call, place, kind, target, target_id, work))

    def fail(self, fault: Fault) -> dict[str, Any]:
        """Begin an operation that does nothing, and fails as a fault says."""
        code = fault.error or "INTERNAL_ERROR"
        words = fault.message or f"{code}, asked of the emulator by a fault"

        def work(operation: Operation) -> None:
            self.emulator.operations.pause(fault.operation_s or 0.0)
            raise OperationFailed([{"code": code, "message": words}], 400, "BAD REQUEST")

        target = self.call.path.removeprefix("/compute/v1/")
        kind = self.call.action.rpartition(".")[2]
        return self.begin(place_of(self.call), kind, target, None, work)

    def pause(self, seconds: float) -> None:
        """The time that an operation takes: as said, or as a fault says."""
        if self.fault is not None and self.fault.operation_s is not None:
            seconds = self.fault.operation_s
        self.emulator.operations.pause(seconds)
