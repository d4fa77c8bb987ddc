"""HTTP and HTTPS requests over connections that stay open, one a thread and host."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

TIMEOUT = 15.0


class Response(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Web:
    """One endpoint (``http://host:port``)."""

    def __init__(self, endpoint: str, timeout: float = TIMEOUT) -> None:
        parts = urlsplit(endpoint)
        self.host = parts.netloc
        self._secure = parts.scheme == "https"
        self._timeout = timeout
        self._local = threading.local()
        self._context = None
        if self._secure:
            # A context reads all certificates of the system: one for the process, not one a
            # connection.
            import ssl

            self._context = ssl.create_default_context()

    def _connection(self) -> http.client.HTTPConnection:
        found: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if found is None:
            if self._secure:
                found = http.client.HTTPSConnection(
                    self.host, timeout=self._timeout, context=self._context
                )
            else:
                found = http.client.HTTPConnection(self.host, timeout=self._timeout)
            self._local.connection = found
        return found

    def close(self) -> None:
        """Close this thread's connection; the next request opens another."""
        found: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if found is not None:
            found.close()
            self._local.connection = None

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        sink: str | None = None,
    ) -> Response:
        """One request. With ``sink`` the body of a 200 goes to that file instead of memory.

        Raises OSError or http.client.HTTPException; the connection is then closed, and the next
        request opens another.
        """
        connection = self._connection()
        try:
            connection.request(method, target, body, dict(headers))
            answer = connection.getresponse()
            data = b""
            if sink is not None and answer.status == 200:
                _drain(answer, sink)
            else:
                data = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            self._local.connection = None
            raise
        names = {key.lower(): value for key, value in answer.getheaders()}
        return Response(answer.status, names, data)


def _drain(answer: http.client.HTTPResponse, path: str) -> None:
    expected = int(answer.headers.get("Content-Length", -1))
    received = 0
    with open(path, "wb") as file:
        while True:
            part = answer.read(1 << 18)
            if not part:
                break
            file.write(part)
            received += len(part)
    if expected not in (-1, received):
        raise http.client.IncompleteRead(b"", expected - received)
