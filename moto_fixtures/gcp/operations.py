"""Operations of Compute Engine: they take time, they may fail, they may never end."""

from __future__ import annotations

import secrets
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from moto_fixtures.gcp.call import Call, GcpError
from moto_fixtures.gcp.project import last, link, new_id, not_found, stamp
from moto_fixtures.shared.clock import Clock

WAIT_S = 120.0
"""``wait`` answers after two minutes at the latest, done or not, as its reference says."""

Item = dict[str, Any]


class OperationFailed(Exception):
    """How the work of an operation ends: ``errors`` as ``Operation.error.errors`` has them."""

    def __init__(self, errors: list[Item], http: int, reason: str) -> None:
        super().__init__(errors[0]["code"])
        self.errors = errors
        self.http = http
        self.reason = reason


@dataclass(frozen=True)
class Place:
    """Where an operation is kept: ``zones``, ``regions`` or, with no name, ``global``."""

    project: str
    kind: str
    name: str = ""

    @property
    def path(self) -> str:
        where = f"{self.kind}/{self.name}" if self.name else self.kind
        return f"projects/{self.project}/{where}"


@dataclass
class Operation:
    """``resource`` is what the API answers; changed under the lock of its keeper."""

    place: Place
    resource: Item
    done: threading.Event = field(default_factory=threading.Event)


Work = Callable[[Operation], None]


class Operations:
    """Every operation that was ever begun."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[tuple[Place, str], Operation] = {}
        self._by_request: dict[tuple[str, str, str], Operation] = {}

    def repeated(self, call: Call) -> Operation | None:
        """The operation that a call with the same ``requestId`` began before."""
        request = call.query.get("requestId")
        if request is None:
            return None
        try:
            if UUID(request).int == 0:
                raise ValueError
        except ValueError as error:
            raise GcpError(
                400, "invalid", f"Invalid value for field 'requestId': '{request}'. Not a UUID."
            ) from error
        with self._lock:
            return self._by_request.get((call.caller.email, call.action, request))

    def begin(
        self, call: Call, place: Place, kind: str, target: str, target_id: str | None, work: Work
    ) -> Operation:
        """Begin an operation on the resource at the path ``target``; ``work`` goes on behind."""
        operation = self._new(place, kind, target, target_id, call.caller.email)
        resource, name = operation.resource, operation.resource["name"]
        request = call.query.get("requestId")
        if request is not None:
            resource["clientOperationId"] = request
        with self._lock:
            self._kept[place, name] = operation
            if request is not None:
                self._by_request[call.caller.email, call.action, request] = operation
        threading.Thread(target=self._run, args=(operation, work), daemon=True, name=name).start()
        return operation

    def note(self, place: Place, kind: str, target: str, target_id: str) -> None:
        """An operation of Google's own, done as soon as it is told."""
        operation = self._new(place, kind, target, target_id, "system")
        operation.resource.update(
            status="DONE", progress=100, endTime=operation.resource["insertTime"]
        )
        operation.done.set()
        with self._lock:
            self._kept[place, operation.resource["name"]] = operation

    def _new(
        self, place: Place, kind: str, target: str, target_id: str | None, user: str
    ) -> Operation:
        now = stamp(self._clock.now())
        name = f"operation-{time.time_ns() // 10**6}-{secrets.token_hex(6)}-{secrets.token_hex(4)}"
        resource: Item = {
            "kind": "compute#operation",
            "id": new_id(),
            "name": name,
            "operationType": kind,
            "targetLink": link(target),
            "status": "RUNNING",
            "user": user,
            "progress": 0,
            "insertTime": now,
            "startTime": now,
            "selfLink": link(f"{place.path}/operations/{name}"),
        }
        if target_id is not None:
            resource["targetId"] = target_id
        if place.kind == "zones":
            resource["zone"] = link(place.path)
        elif place.kind == "regions":
            resource["region"] = link(place.path)
        return Operation(place, resource)

    def change(self, operation: Operation, **values: Any) -> None:
        """Set fields of an operation that is under way."""
        with self._lock:
            operation.resource.update(values)

    def pause(self, seconds: float) -> None:
        """Let so much of the emulator's time pass."""
        self._clock.wait_until(self._clock.now() + timedelta(seconds=seconds))

    def view(self, operation: Operation) -> Item:
        with self._lock:
            return dict(operation.resource)

    def find(self, place: Place, name: str) -> Operation:
        with self._lock:
            found = self._kept.get((place, name))
        if found is None:
            raise not_found(f"{place.path}/operations/{name}")
        return found

    def wait(self, operation: Operation, seconds: float = WAIT_S) -> Item:
        """The operation once it is done, or after ``seconds``."""
        operation.done.wait(seconds)
        return self.view(operation)

    def of(self, place: Place) -> list[Item]:
        """All of a place, the latest first."""
        with self._lock:
            return [dict(o.resource) for o in reversed(self._kept.values()) if o.place == place]

    def _run(self, operation: Operation, work: Work) -> None:
        ended: Item = {"status": "DONE", "progress": 100}
        try:
            work(operation)
        except OperationFailed as failure:
            ended |= {
                "error": {"errors": failure.errors},
                "httpErrorStatusCode": failure.http,
                "httpErrorMessage": failure.reason,
            }
        except Exception as error:
            # A fault of the emulator itself: seen in its log, and by whoever waits.
            traceback.print_exc(file=sys.stderr)
            ended |= {
                "error": {"errors": [{"code": "INTERNAL_ERROR", "message": f"emulator: {error}"}]},
                "httpErrorStatusCode": 500,
                "httpErrorMessage": "INTERNAL SERVER ERROR",
            }
        with self._lock:
            operation.resource.update(ended, endTime=stamp(self._clock.now()))
        operation.done.set()


def place_of(call: Call) -> Place:
    """The place that a path of the operations' own methods names."""
    params = call.params
    for kind, word in (("zones", "zone"), ("regions", "region")):
        if word in params:
            return Place(params["project"], kind, last(params[word]))
    return Place(params["project"], "global")
