"""Google's REST APIs, plainly: an access token and GET, with errors of ours.

For what is only read (catalog, quotas, checks): the client libraries take over a second to load.
Credentials are Application Default Credentials, by google-auth. Addresses are Google's, or those of
gcloud's own variables ``CLOUDSDK_API_ENDPOINT_OVERRIDES_…``.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from dstack_cloud.errors import (
    CredentialsError,
    DstackError,
    InputError,
    PermissionDeniedError,
    ThrottledError,
    UnreachableError,
)
from dstack_cloud.google_sign_in import LOGIN, SignIn

ADDRESSES = {
    "compute": "https://compute.googleapis.com/compute/v1/",
    "cloudbilling": "https://cloudbilling.googleapis.com/",
    "cloudresourcemanager": "https://cloudresourcemanager.googleapis.com/",
    "iam": "https://iam.googleapis.com/",
    "serviceusage": "https://serviceusage.googleapis.com/",
}
_TIMEOUT_S = 60.0
_TRIES = 4
# docs.cloud.google.com/compute/docs/api/errors, google/api/error_reason.proto
_THROTTLED = {"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"}
_DISABLED = {"accessNotConfigured", "SERVICE_DISABLED"}


def address(service: str, environ: Mapping[str, str] | None = None) -> str:
    """The base address of a service, with a slash at its end."""
    environ = os.environ if environ is None else environ
    override = environ.get(f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service.upper()}")
    return (override or ADDRESSES[service]).rstrip("/") + "/"


class GoogleRest:
    """Reads as the caller's Application Default Credentials; threads may share it."""

    def __init__(self) -> None:
        self._sign_in = SignIn()

    @property
    def project(self) -> str | None:
        """The project of the credentials or the environment, None where neither names one."""
        return self._sign_in.found.project

    def get(self, service: str, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The JSON value at ``path`` (relative to the service's address).

        What passes (throttling, a server's error, a broken connection) is tried again, 4 times in
        all. Raises errors of ours.
        """
        url = address(service) + path
        if query:
            url += "?" + urllib.parse.urlencode(query)
        for attempt in range(_TRIES):
            try:
                return self._once(url)
            except (ThrottledError, UnreachableError):
                if attempt == _TRIES - 1:
                    raise
                time.sleep(0.5 * 2**attempt)
        raise AssertionError("unreachable")

    def _once(self, url: str) -> Any:
        headers = {"Accept": "application/json", "User-Agent": "dstack-cloud"}
        request = urllib.request.Request(url, headers={**headers, **self._sign_in.headers()})
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise refusal(error.code, error.read(), url) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            host = urllib.parse.urlsplit(url).netloc
            raise UnreachableError(f"{host} cannot be reached: {reason}") from None


def refusal(status: int, body: bytes, url: str) -> DstackError:
    """The error of ours for an HTTP error of Google's."""
    try:
        error = json.loads(body)["error"]
        reasons = {item.get("reason") for item in error.get("errors", ())}
        reasons |= {item.get("reason") for item in error.get("details", ())}
        message = str(error.get("message", "")).partition("\n")[0]
    except (ValueError, KeyError, TypeError, AttributeError):
        reasons, message = set(), ""
    what = urllib.parse.urlsplit(url)
    words = f"{what.netloc} answered {status}" + (f": {message.rstrip('.')}" if message else "")
    if status == 429 or reasons & _THROTTLED:
        return ThrottledError(words)
    if status >= 500:
        return UnreachableError(words)
    if status == 401:
        return CredentialsError(words, LOGIN)
    if reasons & _DISABLED:
        return PermissionDeniedError(
            words, f"enable it: gcloud services enable {what.netloc.partition(':')[0]}"
        )
    if status == 403:
        return PermissionDeniedError(words, "dstack-cloud check --cloud gcp says what is missing")
    return InputError(words, "check project and region: dstack-cloud check --cloud gcp")
