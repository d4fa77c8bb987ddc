"""Errors of Cloud Storage, in the shapes of its two APIs.

https://cloud.google.com/storage/docs/json_api/v1/status-codes
https://cloud.google.com/storage/docs/xml-api/reference-status
"""

from __future__ import annotations

import json
from xml.sax.saxutils import escape

# The XML API's code for a reason of the JSON API, where one stands for the other.
_CODES = {
    "accessNotConfigured": "AccessDenied",
    "authError": "AuthenticationRequired",
    "backendError": "ServiceUnavailable",
    "conditionNotMet": "PreconditionFailed",
    "conflict": "BucketNameUnavailable",
    "forbidden": "AccessDenied",
    "internalError": "InternalError",
    "invalid": "InvalidArgument",
    "notFound": "NoSuchKey",
    "notImplemented": "NotImplemented",
    "rateLimitExceeded": "SlowDown",
    "required": "AuthenticationRequired",
    "requestedRangeNotSatisfiable": "InvalidRange",
}


class GcsError(Exception):
    """``reason`` is the JSON API's; ``code`` the XML API's where it is not the reason's own."""

    def __init__(self, http: int, reason: str, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.http = http
        self.reason = reason
        self.message = message
        self.code = code or _CODES.get(reason, reason[:1].upper() + reason[1:])

    def as_json(self) -> bytes:
        item = {"message": self.message, "domain": "global", "reason": self.reason}
        if self.reason == "accessNotConfigured":
            item.update(domain="usageLimits", extendedHelp="https://console.developers.google.com")
        error = {"code": self.http, "message": self.message, "errors": [item]}
        return json.dumps({"error": error}).encode()

    def as_xml(self) -> bytes:
        message, details = self.message, ""
        if self.code == "AccessDenied":
            message, details = "Access denied.", f"<Details>{escape(self.message)}</Details>"
        return (
            "<?xml version='1.0' encoding='UTF-8'?>"
            f"<Error><Code>{escape(self.code)}</Code><Message>{escape(message)}</Message>"
            f"{details}</Error>"
        ).encode()


def no_bucket() -> GcsError:
    return GcsError(404, "notFound", "The specified bucket does not exist.", "NoSuchBucket")


def no_object(bucket: str, name: str) -> GcsError:
    return GcsError(404, "notFound", f"No such object: {bucket}/{name}")


def not_met() -> GcsError:
    return GcsError(
        412,
        "conditionNotMet",
        "At least one of the pre-conditions you specified did not hold.",
    )


def invalid(message: str) -> GcsError:
    return GcsError(400, "invalid", message)


def not_implemented(what: str) -> GcsError:
    """For what the real one knows and this one does not: never a silent success."""
    return GcsError(501, "notImplemented", f"the emulated Cloud Storage does not have {what}")
