"""Google's metadata server, as a machine of Compute Engine finds it.

https://cloud.google.com/compute/docs/metadata/querying-metadata
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from urllib.parse import quote

from .web import Response, Web

# By its address: no name server is needed. The variable is the one of Google's own libraries.
_HOST = "169.254.169.254"
_ROOT = "/computeMetadata/v1/"
_HEADERS = {"Metadata-Flavor": "Google"}
# The server itself gives a new token five minutes before the old one ends.
_MARGIN = 240.0


class GoogleMetadata:
    """Thread-safe. Every method raises OSError, http.client.HTTPException, or ValueError for an
    answer that is none."""

    def __init__(self) -> None:
        self._endpoint = "http://" + (os.environ.get("GCE_METADATA_HOST") or _HOST)
        self._web = Web(self._endpoint, timeout=5.0)
        self._lock = threading.Lock()
        self._token = ("", 0.0)

    def get(self, path: str) -> str | None:
        """The text at a path (``instance/id``), None where there is nothing."""
        return _text(self._web.request("GET", _ROOT + path, _HEADERS))

    def need(self, path: str) -> str:
        """The text at a path where there must be some."""
        found = self.get(path)
        if not found:
            raise ValueError(f"the metadata server has no {path}")
        return found

    def wait(self, path: str, etag: str, seconds: float) -> tuple[str | None, str]:
        """The text at a path and its tag: at once unless it is the one of this tag, else when
        it changes, or after so many seconds."""
        query = "?wait_for_change=true&timeout_sec={:d}&last_etag={}"
        # A connection of its own: the answer comes much later than others do.
        web = Web(self._endpoint, timeout=seconds + 15.0)
        target = _ROOT + path + query.format(int(seconds), quote(etag or "0", safe=""))
        try:
            answer = web.request("GET", target, _HEADERS)
            return _text(answer), _named(answer.headers, "etag")
        finally:
            web.close()

    def token(self) -> str:
        """An access token of the machine's service account, good for some minutes at least."""
        with self._lock:
            token, until = self._token
            if time.time() > until - _MARGIN:
                asked = time.time()
                told = json.loads(self.need("instance/service-accounts/default/token"))
                token = str(told["access_token"])
                self._token = (token, asked + float(told["expires_in"]))
            return token


def _text(answer: Response) -> str | None:
    if answer.status == 404:
        return None
    if answer.status != 200:
        raise ValueError(f"the metadata server answers {answer.status}")
    if _named(answer.headers, "metadata-flavor") != "Google":
        raise ValueError("what answers is not Google's metadata server")
    return answer.body.decode("utf-8", "replace")


def _named(headers: Mapping[str, str], name: str) -> str:
    return headers.get(name, "")
