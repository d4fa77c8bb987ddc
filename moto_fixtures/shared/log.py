"""The log of every API call, with nothing secret in it."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

# Named by what they carry; matched without regard to case, at any depth.
_SECRET = {
    "privatekey",
    "keymaterial",
    "secretstring",
    # Of a secret in Google's Secret Manager.
    "payload",
    "secretbinary",
    "secretaccesskey",
    "sessiontoken",
    "password",
    "authorization",
    "publickeymaterial",
}
_TEXT_LIMIT = 2048


@dataclass
class Entry:
    """One call. ``outcome`` is ``ok``, an error code, ``held``, ``dropped`` or ``pending``."""

    sequence: int
    time: str
    service: str
    action: str
    region: str
    parameters: dict[str, Any]
    principal: str | None
    access_key: str | None
    peer: str
    outcome: str = "pending"
    status: int | None = None
    permissions: list[str] = field(default_factory=list)
    duration_ms: float | None = None


def redact(value: Any, key: str = "") -> Any:
    """A copy fit for a log: secrets and user data become their length, long texts are cut."""
    lower = key.lower()
    if lower == "userdata" or lower in _SECRET:
        if isinstance(value, str | bytes):
            return f"<{len(value)} bytes>"
        if isinstance(value, dict):
            return {k: redact(v, key) for k, v in value.items()}
        return "<hidden>"
    if isinstance(value, dict):
        return {str(k): redact(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [redact(v, key) for v in value]
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, str):
        return value if len(value) <= _TEXT_LIMIT else value[:_TEXT_LIMIT] + "…"
    if isinstance(value, int | float | bool) or value is None:
        return value
    return str(value)


class CallLog:
    """Calls in the order they arrived; ``sequence`` goes on counting over a reset."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._next = 1

    def begin(
        self,
        service: str,
        action: str,
        region: str,
        parameters: dict[str, Any],
        principal: str | None,
        access_key: str | None,
        peer: str,
    ) -> Entry:
        """Note a call as it arrives."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        clean = redact(parameters)
        with self._lock:
            entry = Entry(
                self._next, time, service, action, region, clean, principal, access_key, peer
            )
            self._next += 1
            self._entries.append(entry)
        return entry

    def entries(self, since: int = 0) -> list[dict[str, Any]]:
        """Entries with a sequence above ``since``, as JSON-ready dicts."""
        with self._lock:
            return [asdict(e) for e in self._entries if e.sequence > since]

    def clear(self) -> None:
        """Forget what was logged."""
        with self._lock:
            self._entries.clear()
