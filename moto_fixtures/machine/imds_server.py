"""EC2's metadata service, version 2: its tokens, and which answer a request gets.

The answer to a token request leaves with the machine's hop limit as its TTL, so that with a limit
of 1 it dies on the machine before it reaches a container's bridge.
"""

from __future__ import annotations

import secrets
import threading
import time
from datetime import UTC, datetime

from moto_fixtures.machine import imds
from moto_fixtures.machine.served import Answer, Asked, Credentials, Served

_LONGEST_TOKEN = 21600
_HEADER = "x-aws-ec2-metadata-token"
_TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"


class ImdsServer:
    """The same one answers for all machines of an emulator, from any thread."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[str, float]] = {}

    def forget(self, address: str) -> None:
        """The machine at this address is gone: its tokens, too."""
        with self._lock:
            self._tokens = {t: owner for t, owner in self._tokens.items() if owner[0] != address}

    def answer(self, asked: Asked, machine: Served) -> Answer:
        if asked.method == "PUT":
            return self._token(asked, machine)
        if asked.method != "GET":
            return Answer(405)
        token = asked.headers.get(_HEADER)
        if token is None and imds.facts(machine).token_required:
            return Answer(401)
        if token is not None and not self._holds(token, machine.address):
            return Answer(401)
        _version, _, path = asked.path.lstrip("/").partition("/")
        body = self._text_at(machine, path.rstrip("/"))
        return Answer(404) if body is None else Answer(200, body)

    def _token(self, asked: Asked, machine: Served) -> Answer:
        ttl = imds.facts(machine).hop_limit
        if asked.path != "/latest/api/token":
            return Answer(404, ttl=ttl)
        if "x-forwarded-for" in asked.headers:
            return Answer(403, ttl=ttl)
        seconds = asked.headers.get(_TTL_HEADER.lower(), "")
        if not seconds.isdigit() or not 1 <= int(seconds) <= _LONGEST_TOKEN:
            return Answer(400, ttl=ttl)
        token = secrets.token_urlsafe(40)
        with self._lock:
            self._tokens[token] = (machine.address, time.monotonic() + int(seconds))
        return Answer(200, token.encode(), {_TTL_HEADER: seconds}, ttl=ttl)

    def _holds(self, token: str, address: str) -> bool:
        """Tokens are bound to the machine they were given to, and expire."""
        with self._lock:
            owner, until = self._tokens.get(token, ("", 0.0))
        return owner == address and time.monotonic() < until

    def _text_at(self, machine: Served, path: str) -> bytes | None:
        """The content of a path below the version, or None."""
        if path == "user-data":
            return machine.spec.user_data or None
        role = imds.facts(machine).role
        role_path = imds.role_path(machine)
        if role is not None and path == role_path:
            given = self._credentials(role, machine.spec.id)
            return imds.credentials_text(given, datetime.now(UTC)).encode()
        found = imds.leaves(machine)
        if path in found:
            return found[path].encode()
        more = [role_path] if role_path else []
        paths = [*found, *more, *(["user-data"] * bool(machine.spec.user_data))]
        listing = imds.directory(paths, path)
        return None if listing is None else listing.encode()
