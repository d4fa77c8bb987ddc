"""A call of a Google API as its handlers see it, and the error that they answer with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class Principal(Protocol):
    """Who calls."""

    @property
    def email(self) -> str:
        """The service account's or user's address."""
        ...

    def may(self, permission: str, resource: str) -> bool:
        """Whether a permission is granted on a resource (its full name)."""
        ...


@dataclass(frozen=True)
class Call:
    """``path`` begins with a slash; ``body`` is the JSON value sent, None where none was."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    headers: Mapping[str, str]
    principal: Principal | None


class GcpError(Exception):
    """What is answered as Google's error JSON: HTTP status, reason, message, details."""

    def __init__(
        self, http: int, reason: str, message: str, details: list[dict[str, Any]] | None = None
    ) -> None:
        super().__init__(message)
        self.http = http
        self.reason = reason
        self.message = message
        self.details = details or []
