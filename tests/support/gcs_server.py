"""The emulated Cloud Storage alone, on the loopback, with callers that a test names."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from moto_fixtures.gcp.gcs.app import GcsApp, Operation
from moto_fixtures.gcp.gcs.errors import GcsError
from moto_fixtures.gcp.gcs.request import Answer
from moto_fixtures.shared.faults import Faults
from moto_fixtures.shared.http import DropConnection, Server

PROJECT = "dstack-cloud-demo"
TOKEN = "a-token"


@dataclass(frozen=True)
class Caller:
    """May do what its patterns allow, everywhere where they hold: (permission, resource)."""

    email: str
    allowed: tuple[tuple[str, str], ...] = (("*", "*"),)

    def may(self, permission: str, resource: str) -> bool:
        return any(fnmatchcase(permission, p) and fnmatchcase(resource, r) for p, r in self.allowed)


@dataclass
class Gcs:
    """``callers`` by token; every call is in ``seen``, as it arrived."""

    callers: dict[str, Caller] = field(default_factory=lambda: {TOKEN: Caller("daily@example.com")})
    faults: Faults = field(default_factory=lambda: Faults(()))
    seen: list[Operation] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self.app = GcsApp(self._identify, self._around, project=PROJECT)
        self.objects = self.app.service.objects

    def bucket(self, name: str) -> str:
        self.objects.make_bucket(name, PROJECT, {"location": "US-CENTRAL1"})
        return name

    def _identify(self, authorization: str | None) -> Caller:
        if authorization is None:
            raise GcsError(401, "required", "Anonymous caller.")
        caller = self.callers.get(authorization.removeprefix("Bearer "))
        if caller is None:
            raise GcsError(401, "authError", "Invalid Credentials")
        return caller

    def _around(self, operation: Operation, execute: Callable[[], Answer]) -> Answer:
        self.seen.append(operation)
        self._strike(operation, "before")
        answer = execute()
        self._strike(operation, "after")
        return answer

    def _strike(self, operation: Operation, when: str) -> None:
        fault = self.faults.strike(operation.action, operation.parameters, when)
        if fault is None:
            return
        if fault.drop:
            raise DropConnection
        raise GcsError(fault.http or 503, fault.error or "backendError", fault.message or "")


@contextmanager
def serving() -> Iterator[Gcs]:
    """The server for the length of the block."""
    gcs = Gcs()
    server = Server(("127.0.0.1", 0), gcs.app, "UploadServer")
    gcs.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield gcs
    finally:
        server.shutdown()
        server.server_close()


def storage_client(gcs: Gcs, token: str = TOKEN) -> Any:
    """Google's own client, as that caller; it does not repeat what it was refused."""
    from google.cloud import storage
    from google.oauth2.credentials import Credentials

    return storage.Client(
        project=PROJECT,
        credentials=Credentials(token),
        client_options={"api_endpoint": gcs.url},
    )
