"""Access tokens: what they are given for, and whether one that is shown holds.

Assertions of service accounts as in https://developers.google.com/identity/protocols/oauth2/
service-account, self-signed tokens as in https://google.aip.dev/auth/4111.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from moto_fixtures.gcp.call import GcpError
from moto_fixtures.shared.clock import Clock

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
ENDPOINT = "https://oauth2.googleapis.com/token"
"""What google-auth names as an assertion's audience, whatever the key file's ``token_uri``."""
LIFETIME_S = 3600
_SKEW_S = 300
_PREFIX = "ya29.c."

KeyOf = Callable[[str, str], RSAPublicKey | None]
"""Email and key id to the public key, or None where the account has no such key."""


class TokenError(Exception):
    """What the token endpoint refuses a request with: RFC 6749, section 5.2."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


@dataclass(frozen=True)
class Bearer:
    """Whom a token speaks for. ``machine`` is the id of the instance that was given it."""

    email: str
    scopes: tuple[str, ...]
    machine: str | None = None


class Tokens:
    """Gives out tokens, and knows them again."""

    def __init__(self, clock: Clock, key_of: KeyOf) -> None:
        self._clock = clock
        self._key_of = key_of
        self._lock = threading.Lock()
        self._given: dict[str, tuple[Bearer, datetime]] = {}

    def grant(self, form: Mapping[str, str], token_uri: str) -> dict[str, Any]:
        """What the token endpoint answers to an assertion. Raises TokenError."""
        if form.get("grant_type") != GRANT:
            raise TokenError("unsupported_grant_type", "Invalid grant_type")
        claims = self._verified(form.get("assertion", ""))
        if claims.get("aud") not in (token_uri, ENDPOINT):
            raise TokenError("invalid_grant", "Invalid JWT: Failed audience check.")
        scopes = tuple(str(claims.get("scope", "")).split())
        if not scopes:
            raise TokenError("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        return self.give(Bearer(str(claims["iss"]), scopes))

    def give(self, bearer: Bearer) -> dict[str, Any]:
        """A new token, in the words of the token endpoint and of the metadata server."""
        token = _PREFIX + secrets.token_urlsafe(48)
        until = self._clock.now() + timedelta(seconds=LIFETIME_S)
        with self._lock:
            self._given[token] = (bearer, until)
        return {"access_token": token, "expires_in": LIFETIME_S, "token_type": "Bearer"}

    def revoke(self) -> None:
        """No token that was given out so far holds any longer."""
        with self._lock:
            self._given.clear()

    def bearer(self, authorization: str | None, service: str) -> Bearer:
        """Whom an Authorization header speaks for; GcpError 401 where it does not hold."""
        kind, _, token = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise unauthenticated("CREDENTIALS_MISSING", service, authorization is None)
        if token.count(".") == 2 and not token.startswith(_PREFIX):
            return self._self_signed(token, service)
        with self._lock:
            known = self._given.get(token)
        if known is None or known[1] <= self._clock.now():
            raise unauthenticated("ACCESS_TOKEN_EXPIRED", service)
        return known[0]

    def _self_signed(self, token: str, service: str) -> Bearer:
        try:
            claims = self._verified(token)
        except TokenError as error:
            raise unauthenticated("ACCESS_TOKEN_TYPE_UNSUPPORTED", service) from error
        scopes = tuple(str(claims.get("scope", "")).split())
        if not scopes and claims.get("aud") not in (f"https://{service}/", f"https://{service}"):
            raise unauthenticated("ACCESS_TOKEN_TYPE_UNSUPPORTED", service)
        return Bearer(str(claims["iss"]), scopes or (CLOUD_PLATFORM,))

    def _verified(self, token: str) -> dict[str, Any]:
        """The claims of a signed token: real signatures, by the real time."""
        try:
            head, claims, signature = token.split(".")
            header, said = json.loads(_decoded(head)), json.loads(_decoded(claims))
            email = str(said["iss"])
            begun, ends = int(said["iat"]), int(said["exp"])
            signed = _decoded(signature)
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise TokenError("invalid_grant", "Invalid JWT: malformed.") from error
        key = self._key_of(email, str(header.get("kid")))
        if key is None:
            raise TokenError("invalid_grant", "Invalid grant: account not found")
        try:
            message = f"{head}.{claims}".encode()
            key.verify(signed, message, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature as error:
            raise TokenError("invalid_grant", "Invalid JWT Signature.") from error
        now = time.time()
        if header.get("alg") != "RS256" or said.get("sub", email) != email:
            raise TokenError("invalid_grant", "Invalid JWT: algorithm or subject.")
        if not begun - _SKEW_S <= now < ends + _SKEW_S or ends - begun > LIFETIME_S:
            raise TokenError(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable "
                "timeframe. Check your iat and exp values in the JWT claim.",
            )
        return dict(said)


def _decoded(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


def unauthenticated(reason: str, service: str, missing: bool = False) -> GcpError:
    """https://cloud.google.com/docs/authentication/troubleshoot-adc"""
    what = (
        "Request is missing required authentication credential."
        if missing
        else "Request had invalid authentication credentials."
    )
    message = (
        f"{what} Expected OAuth 2 access token, login cookie or other valid authentication "
        "credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
    )
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": service},
    }
    return GcpError(401, "required" if missing else "authError", message, [detail])
