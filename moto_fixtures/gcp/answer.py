"""Answers over HTTP: JSON values, and errors in the two shapes that Google's APIs have.

https://cloud.google.com/apis/design/errors#http_mapping
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from moto_fixtures.gcp.call import GcpError

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
# The words of a status where the reason tells it apart from others of the same HTTP code.
_STATUS_OF_REASON = {
    "conditionNotMet": "FAILED_PRECONDITION",
    "failedPrecondition": "FAILED_PRECONDITION",
    "aborted": "ABORTED",
}


@dataclass
class Answer:
    """What goes back over HTTP."""

    status: int
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)


def json_answer(value: Any, status: int = 200) -> Answer:
    body = json.dumps(value, indent=2).encode()
    return Answer(status, body, [("Content-Type", "application/json; charset=UTF-8")])


def status_of(error: GcpError) -> str:
    """The canonical code in words, as ``error.status`` has it."""
    return _STATUS_OF_REASON.get(error.reason) or _STATUS.get(error.http, "UNKNOWN")


def error_answer(error: GcpError, service: str) -> Answer:
    """Compute's errors list their reasons; the younger APIs have a status alone."""
    status = status_of(error)
    said: dict[str, Any] = {"code": error.http, "message": error.message}
    if service == "compute.googleapis.com" or error.http == 401:
        domain = "usageLimits" if error.reason in _LIMITS else "global"
        said["errors"] = [{"message": error.message, "domain": domain, "reason": error.reason}]
    if service != "compute.googleapis.com" or error.details:
        said["status"] = status
    if error.details:
        said["details"] = error.details
    answer = json_answer({"error": said}, error.http)
    if error.http == 401:
        answer.headers.append(("WWW-Authenticate", 'Bearer realm="https://accounts.google.com/"'))
    return answer


_LIMITS = {"accessNotConfigured", "quotaExceeded", "rateLimitExceeded", "userRateLimitExceeded"}
