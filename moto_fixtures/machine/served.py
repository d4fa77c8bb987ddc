"""One machine as a metadata service knows it, and what such a service is asked and answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moto_fixtures.machine.base import MachineSpec

Credentials = Callable[[str, str], Mapping[str, Any]]
"""Asked with (role or service account's address, machine's id) each time that the machine asks.

EC2: ``AccessKeyId``, ``SecretAccessKey``, ``Token`` and ``Expiration``. Compute Engine:
``access_token``, ``expires_in`` (seconds) and ``token_type``.
"""


@dataclass
class Served:
    """``notices`` and ``guest_attributes`` (``NAMESPACE/KEY`` to its text) grow while the machine
    runs: change them with ``changed`` held, and wake those who wait on it."""

    spec: MachineSpec
    address: str
    launched: datetime
    notices: dict[str, str] = field(default_factory=dict)
    guest_attributes: dict[str, str] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    gone: bool = False

    def announce(self, paths: Mapping[str, str]) -> None:
        """Have these appear in the metadata."""
        with self.changed:
            self.notices.update(paths)
            self.changed.notify_all()

    def end(self) -> None:
        """The machine is off: whoever waits for a change waits no longer."""
        with self.changed:
            self.gone = True
            self.changed.notify_all()


@dataclass(frozen=True)
class Asked:
    """A request. ``path`` is below the root, ``headers`` have lower-case names."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """A response; ``ttl`` is how many hops its packets live."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = "text/plain"
    ttl: int = 64


def rfc3339(moment: datetime) -> str:
    """``2026-01-31T09:30:00Z``, as every time in the metadata is written."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
