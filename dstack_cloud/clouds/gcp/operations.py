"""Waiting for what a call has begun: operations, and what they tell of their end.

``.result()`` of the SDK asks the real address whatever the endpoint is, so operations are waited
for by clients of our own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from dstack_cloud.clouds.gcp.errors import failed, translated
from dstack_cloud.clouds.gcp.names import last
from dstack_cloud.clouds.gcp.sessions import Sessions, as_json
from dstack_cloud.errors import TryAgainError

# One `wait` returns after two minutes at the latest; this is what its answer may take.
_READ_S = 150.0


class NeverEnds(TryAgainError):
    """An operation that was not done in time."""


def finished(sessions: Sessions, operation: Any, doing: str, within_s: float) -> dict[str, Any]:
    """The operation once it is done, as JSON, however it went. NeverEnds."""
    found = as_json(operation)
    until = time.monotonic() + within_s
    while found.get("status") != "DONE":
        left = until - time.monotonic()
        if left <= 0:
            raise NeverEnds(
                f"{doing} did not end within {within_s:.0f} s: operation {found['name']} is "
                f"{str(found.get('status', 'unknown')).lower()}",
                "run it again; dstack-cloud gc removes what may have been made",
            )
        with translated(doing):
            found = as_json(_waiter(sessions, found)(min(left, _READ_S)))
    return found


def succeeded(sessions: Sessions, operation: Any, doing: str, within_s: float) -> None:
    """Wait for the operation; raises the error of ours where it failed."""
    found = finished(sessions, operation, doing, within_s)
    problems = errors_in(found)
    if problems:
        code, message = str(problems[0].get("code", "")), str(problems[0].get("message", ""))
        raise failed(code, message.rstrip("."), doing)


def errors_in(operation: dict[str, Any]) -> list[dict[str, Any]]:
    """The operation's errors, ``[{code, message, location, errorDetails}]``."""
    found = list(operation.get("error", {}).get("errors", ()))
    if not found and operation.get("httpErrorStatusCode"):
        return [
            {
                "code": str(operation["httpErrorStatusCode"]),
                "message": operation.get("httpErrorMessage", "no reason given"),
            }
        ]
    return found


def _waiter(sessions: Sessions, operation: dict[str, Any]) -> Callable[[float], Any]:
    """Asks for the operation again, in its region or globally: it answers when it is done, or
    after a while."""
    project, name = sessions.project(), operation["name"]
    if region := operation.get("region"):
        client, place = sessions.client("RegionOperations"), {"region": last(region)}
    else:
        client, place = sessions.client("GlobalOperations"), {}

    def wait(seconds: float) -> Any:
        from google.api_core import exceptions

        try:
            return client.wait(project=project, operation=name, **place, timeout=seconds)
        except (exceptions.RetryError, exceptions.DeadlineExceeded, exceptions.GatewayTimeout):
            return client.get(project=project, operation=name, **place)
        except Exception as error:
            # The time is up: what it is by now decides.
            if "Timeout" not in type(error).__name__:
                raise
            return client.get(project=project, operation=name, **place)

    return wait
