"""Whose credentials sign the store's requests: the environment's, else what botocore finds.

Static keys of the environment need no botocore (0.15 s of start-up). Profiles, SSO, assumed
roles and processes do; botocore renews those that can be renewed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING

from dstack_cloud.errors import CredentialsError, DstackError, UnreachableError
from dstack_cloud.nearest import did_you_mean

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from obstore.store import S3Credential

_HOW = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run `aws configure`"
# obstore asks again when less than five minutes are left; botocore then answers from memory
# unless its own are about to expire.
_ASK_AGAIN = timedelta(minutes=6)
_BETWEEN_RENEWALS = 30.0


class AwsCredentials:
    """obstore's credential provider. ``problem`` is why the last call failed, None if it didn't."""

    def __init__(self, environ: Mapping[str, str], profile: str | None) -> None:
        self.profile = profile
        self.problem: DstackError | None = None
        self._static = None if profile else _static(environ)
        self._found: Credentials | None = None
        self._renewed = -_BETWEEN_RENEWALS
        self._lock = Lock()

    def __call__(self) -> S3Credential:
        if self._static is not None:
            return self._static
        try:
            with self._lock:
                found = self._found = self._found or find(self.profile)
                frozen = found.get_frozen_credentials()
        except Exception as error:
            self.problem = error if isinstance(error, DstackError) else explain(error, self.profile)
            raise self.problem from None
        self.problem = None
        return {
            "access_key_id": frozen.access_key or "",
            "secret_access_key": frozen.secret_key or "",
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _ASK_AGAIN,
        }

    def renew(self) -> bool:
        """Forget what was found, to look again: a profile's keys may have been replaced since.

        False where that cannot help: the environment's never change, or it was just done.
        """
        with self._lock:
            now = time.monotonic()
            if self._static is not None or now - self._renewed < _BETWEEN_RENEWALS:
                return False
            self._found, self._renewed = None, now
            return True


def _static(environ: Mapping[str, str]) -> S3Credential | None:
    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not key or not secret:
        return None
    token = environ.get("AWS_SESSION_TOKEN") or None
    return {
        "access_key_id": key,
        "secret_access_key": secret,
        "token": token,
        "expires_at": None,
    }


def find(profile: str | None) -> Credentials:
    """botocore's credentials of the profile, or of wherever it looks without one."""
    import botocore.session
    from botocore.exceptions import ProfileNotFound

    session = botocore.session.Session(profile=profile)
    try:
        found = session.get_credentials()
    except ProfileNotFound:
        name = profile or str(session.profile)
        known = session.available_profiles
        raise CredentialsError(
            f"there is no AWS profile '{name}'{did_you_mean(name, known)}",
            f"profiles here: {', '.join(known) or 'none'}",
        ) from None
    if found is None:
        raise CredentialsError("no AWS credentials found", _HOW)
    return found


def explain(error: Exception, profile: str | None) -> DstackError:
    """Our error for one of botocore's while it looked for credentials, or renewed them."""
    from botocore import exceptions

    named = f" of the profile '{profile}'" if profile else ""
    login = f"aws sso login{f' --profile {profile}' if profile else ''}"
    sso = (
        exceptions.SSOError,
        exceptions.TokenRetrievalError,
        exceptions.UnauthorizedSSOTokenError,
    )
    if isinstance(error, sso):
        return CredentialsError(f"the SSO session{named} has ended", f"run `{login}`")
    if isinstance(error, exceptions.ConnectionError | exceptions.HTTPClientError):
        return UnreachableError(f"no answer while getting the credentials{named}: {error}")
    return CredentialsError(f"the credentials{named} could not be had: {error}", _HOW)
