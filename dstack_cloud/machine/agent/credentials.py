"""Credentials: the environment's, else the machine's own role's."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time

from .errors import StoreError
from .metadata import Metadata
from .sigv4 import Credentials
from .times import unix

# Renewed this long before they expire: a request signed with them must still arrive in time.
_MARGIN = 300.0


class CredentialSource:
    """Thread-safe; asks the metadata service only when what it has is about to expire."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._have: Credentials | None = None
        self._metadata = Metadata()

    def get(self) -> Credentials:
        """Raises StoreError when there are none."""
        key = os.environ.get("AWS_ACCESS_KEY_ID")
        secret = os.environ.get("AWS_SECRET_ACCESS_KEY")
        if key and secret:
            return Credentials(key, secret, os.environ.get("AWS_SESSION_TOKEN", ""), 0)
        with self._lock:
            have = self._have
            if have is None or time.time() > have.expires - _MARGIN:
                have = self._have = self._fetch(have)
            return have

    def _fetch(self, have: Credentials | None) -> Credentials:
        try:
            return self._role()
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            if have is not None and time.time() < have.expires:
                return have
            raise StoreError(f"the machine's role gives no credentials: {error}") from error

    def _role(self) -> Credentials:
        base = "meta-data/iam/security-credentials/"
        roles = self._metadata.get(base)
        if not roles:
            raise ValueError("it has none")
        raw = json.loads(self._metadata.get(base + roles.decode().split()[0]) or b"{}")
        return Credentials(
            raw["AccessKeyId"], raw["SecretAccessKey"], raw["Token"], unix(raw["Expiration"])
        )
