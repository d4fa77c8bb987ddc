"""Who calls Google Cloud: Application Default Credentials, by google-auth.

Service account files, a user's own sign-in, impersonation, workload identity, the metadata server:
all that google-auth knows. Loading it takes 0.09 s, with its own transport 0.13 s, so there is one
here on the standard library.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from dstack_cloud.errors import CredentialsError, DstackError, UnreachableError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

LOGIN = "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_TIMEOUT = 60.0
_BETWEEN_RENEWALS = 30.0


class Found(NamedTuple):
    """The environment's credentials; the project that it or they name."""

    credentials: Credentials
    project: str | None


class SignIn:
    """Access tokens, had when they are needed and renewed before they expire. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: Found | None = None
        self._renewed = -_BETWEEN_RENEWALS

    def token(self) -> str:
        """A token that is good for minutes. CredentialsError or UnreachableError without one."""
        with self._lock:
            found = self._look().credentials
            if not found.valid:
                self._refresh(found)
            return str(found.token)

    def headers(self) -> dict[str, str]:
        """Those of a call: the token, and the project that pays where the credentials name one."""
        found = {"authorization": f"Bearer {self.token()}"}
        with self._lock:
            payer = self._look().credentials.quota_project_id
        return {**found, "x-goog-user-project": payer} if payer else found

    @property
    def found(self) -> Found:
        """Whom the environment names. CredentialsError."""
        with self._lock:
            return self._look()

    def renew(self) -> bool:
        """Forget what was found, to look again: a user may have signed in since.

        False where it was just done.
        """
        with self._lock:
            now = time.monotonic()
            if now - self._renewed < _BETWEEN_RENEWALS:
                return False
            self._found, self._renewed = None, now
            return True

    def _look(self) -> Found:
        self._found = self._found or find()
        return self._found

    def _refresh(self, found: Credentials) -> None:
        from google.auth import exceptions
        from google.auth.credentials import TokenState

        try:
            found.refresh(transport)  # type: ignore[no-untyped-call]
        except exceptions.GoogleAuthError as error:
            # Asked for minutes ahead: what there is may still do.
            if found.token_state is not TokenState.STALE:
                raise explain(error) from None


def find() -> Found:
    """The environment's credentials. CredentialsError when there are none that can be used."""
    import google.auth
    from google.auth import exceptions

    try:
        with warnings.catch_warnings():
            # That a user's own sign-in names no project for quotas is no concern of the user's.
            warnings.simplefilter("ignore")
            return Found(*google.auth.default(scopes=SCOPES, request=cast(Any, transport)))
    except exceptions.DefaultCredentialsError as error:
        if named := os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
            raise CredentialsError(
                f"the Google credentials cannot be used: {_words(error)}",
                "correct GOOGLE_APPLICATION_CREDENTIALS, or unset it and run "
                "`gcloud auth application-default login`",
                file=named,
            ) from None
        raise CredentialsError("no Google credentials found", LOGIN) from None
    except exceptions.GoogleAuthError as error:
        raise explain(error) from None
    except (OSError, ValueError) as error:
        raise CredentialsError(f"the Google credentials cannot be used: {error}", LOGIN) from None


def explain(error: Exception) -> DstackError:
    """Our error for one of google-auth's while it asked for a token."""
    from google.auth import exceptions

    words = _words(error)
    if isinstance(error, exceptions.TransportError) or getattr(error, "retryable", False):
        return UnreachableError(f"Google's sign-in does not answer: {words}")
    if "invalid_grant" in words or isinstance(error, exceptions.ReauthFailError):
        return CredentialsError(f"the Google credentials have expired: {words}", LOGIN)
    if "impersonated" in words:
        return CredentialsError(
            f"the service account cannot be impersonated: {words}",
            "you need roles/iam.serviceAccountTokenCreator on it",
        )
    return CredentialsError(f"the Google credentials are not accepted: {words}", LOGIN)


def _words(error: Exception) -> str:
    return str(error.args[0] if error.args else error).strip().partition("\n")[0].rstrip(".")[:300]


class _Answer:
    """What google-auth expects of its transport."""

    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self.status = status
        self.headers = headers
        self.data = data


def transport(
    url: str,
    method: str = "GET",
    body: bytes | str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    cert: tuple[str, str] | None = None,
    **_: Any,
) -> _Answer:
    """One request of google-auth's; ``cert`` is a client's certificate and key."""
    import http.client
    import urllib.error
    import urllib.request

    from google.auth import exceptions

    data = body.encode() if isinstance(body, str) else body
    request = urllib.request.Request(url, data, dict(headers or {}), method=method)
    context = None
    if cert is not None:
        import ssl

        context = ssl.create_default_context()
        context.load_cert_chain(*cert)
    try:
        with urllib.request.urlopen(
            request, timeout=timeout or _TIMEOUT, context=context
        ) as answer:
            return _Answer(answer.status, _lower(answer.headers), answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return _Answer(error.code, _lower(error.headers), error.read())
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise exceptions.TransportError(reason) from error  # type: ignore[no-untyped-call]


def _lower(headers: Any) -> dict[str, str]:
    return {key.lower(): value for key, value in headers.items()}
