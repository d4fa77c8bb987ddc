"""From the exceptions of Google's libraries to our error tree: no traceback of an SDK reaches the
user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dstack_cloud.clouds.base import FailureKind
from dstack_cloud.clouds.gcp.codes import known, meaning
from dstack_cloud.errors import (
    CredentialsError,
    DstackError,
    InputError,
    NoCapacityError,
    PermissionDeniedError,
    QuotaError,
    ThrottledError,
    UnreachableError,
)
from dstack_cloud.google_sign_in import LOGIN

_ERRORS: dict[FailureKind, type[DstackError]] = {
    FailureKind.CAPACITY: NoCapacityError,
    FailureKind.PRICE: NoCapacityError,
    FailureKind.QUOTA: QuotaError,
    FailureKind.PERMISSION: PermissionDeniedError,
    FailureKind.CREDENTIALS: CredentialsError,
    FailureKind.CONFIGURATION: InputError,
    FailureKind.THROTTLED: ThrottledError,
}
_LIBRARIES = ("google", "requests", "urllib3", "proto")
# By class name, so that no library need be imported to tell them.
_UNREACHABLE = {
    "TransportError",
    "ConnectionError",
    "Timeout",
    "RequestException",
    "RetryError",
    "ConnectTimeout",
    "ReadTimeout",
}


def code_of(error: Any) -> str:
    """The most telling code of a refused call: ErrorInfo's reason, else the first error's, else
    the HTTP status."""
    candidates = [getattr(error, "reason", None)]
    candidates += [
        item.get("reason")
        for item in getattr(error, "errors", None) or ()
        if isinstance(item, dict)
    ]
    found = [str(one) for one in candidates if one]
    for one in found:
        if known(one):
            return one
    status = str(int(error.code)) if getattr(error, "code", None) else "unknown"
    return status if known(status) or not found else found[0]


def message_of(error: Any) -> str:
    """Google's own words, without the call's address before them."""
    text = str(getattr(error, "message", "") or error)
    first, _, rest = text.partition(": ")
    if rest and first.split(" ", 1)[0] in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        text = rest
    return text.strip().rstrip(".")


def failed(code: str, message: str, doing: str, region: str | None = None) -> DstackError:
    """The error of ours for a code of Google's, met while ``doing`` something (in a region)."""
    where = f" in {region}" if region else ""
    text = f"{doing}{where} failed: {code}: {message}"
    if known(code) is None:
        return DstackError(text)
    found = meaning(code, message)
    return _ERRORS[found.kind](text, found.hint)


def ours(error: Exception, doing: str, region: str | None = None) -> DstackError:
    """The error of ours for an exception of a library, met while ``doing`` something."""
    where = f" in {region}" if region else ""
    names = {kind.__name__ for kind in type(error).__mro__}
    words = str(error).split("\n", 1)[0].rstrip(".")
    if "GoogleAPICallError" in names:
        code = code_of(error)
        found = failed(code, message_of(error), doing, region)
        api = (getattr(error, "metadata", None) or {}).get("service")
        if code == "SERVICE_DISABLED" and api:
            found.hint = f"gcloud services enable {api}, then wait some minutes"
        return found
    if "DefaultCredentialsError" in names:
        if "not found" in words and "default credentials were" in words:
            return CredentialsError("there are no Google Cloud credentials", LOGIN)
        return CredentialsError(f"the Google Cloud credentials could not be had: {words}", LOGIN)
    if "RefreshError" in names:
        if getattr(error, "retryable", False):
            return UnreachableError(f"{doing}{where} failed: {_refresh_words(error)}")
        return CredentialsError(
            f"the Google Cloud credentials are expired or revoked: {_refresh_words(error)}", LOGIN
        )
    if names & _UNREACHABLE:
        hint = (
            f"is '{region}' the name of a region, and is the network there?"
            if region
            else "is the network there?"
        )
        return UnreachableError(f"{doing}{where} failed: {words}", hint)
    if "GoogleAuthError" in names:
        return CredentialsError(f"the Google Cloud credentials do not work: {words}", LOGIN)
    return DstackError(f"{doing}{where} failed: {words}")


def _refresh_words(error: Exception) -> str:
    """``invalid_grant: Token has been expired or revoked``: the first argument's."""
    return str(error.args[0] if error.args else error).rstrip(".")


@contextmanager
def translated(doing: str, region: str | None = None) -> Iterator[None]:
    """Turn whatever Google's libraries raise in the block into an error of ours.

    ``doing`` begins the message: "launching", "reading the image". Not for generators: the block
    must hold the call itself.
    """
    try:
        yield
    except DstackError:
        raise
    except Exception as error:
        if type(error).__module__.split(".")[0] not in _LIBRARIES:
            raise
        raise ours(error, doing, region) from error
