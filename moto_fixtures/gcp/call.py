"""A call of a Google API as its handlers see it, and the error that they answer with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class Principal(Protocol):
    """Who calls."""

    @property
    def email(self) -> str:
        """The service account's or user's address."""
        ...

    def may(self, permission: str, resource: str) -> bool:
        """Whether a permission is granted on a resource, named as an IAM condition names it:
        ``projects/P``, ``projects/P/zones/Z/instances/N``, ``projects/_/buckets/B/objects/O``."""
        ...


@dataclass(frozen=True)
class Call:
    """``path`` begins with a slash; ``body`` is the JSON value sent, None where none was.

    ``action`` is the method's id in Google's discovery document (``compute.instances.get``),
    ``params`` what the path says (``project``, ``zone``, …), ``peer`` the caller's address.
    """

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    headers: Mapping[str, str]
    principal: Principal | None
    action: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    peer: str = ""

    @property
    def caller(self) -> Principal:
        """The principal of a call that was authenticated, as all that reach a handler are."""
        if self.principal is None:
            raise GcpError(401, "required", "Login Required.")
        return self.principal


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
