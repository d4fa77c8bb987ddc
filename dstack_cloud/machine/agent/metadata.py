"""EC2's instance metadata service, version 2.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
"""

from __future__ import annotations

import os
import threading

from .web import Web

_ENDPOINT = "http://169.254.169.254"
_HOURS = "21600"


class Metadata:
    """Thread-safe; a token is fetched once and again when it is refused."""

    def __init__(self) -> None:
        endpoint = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _ENDPOINT
        self._web = Web(endpoint.rstrip("/"), timeout=5.0)
        self._lock = threading.Lock()
        self._token: str | None = None

    def get(self, path: str) -> bytes | None:
        """The text at ``/latest/PATH``, None where there is nothing.

        Raises OSError, http.client.HTTPException, or ValueError for another answer.
        """
        for fresh in (False, True):
            answer = self._web.request(
                "GET", "/latest/" + path, {"X-aws-ec2-metadata-token": self._get_token(fresh)}
            )
            if answer.status != 401:
                break
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise ValueError(f"the metadata service answers {answer.status}")
        return answer.body

    def _get_token(self, fresh: bool) -> str:
        with self._lock:
            if self._token is None or fresh:
                answer = self._web.request(
                    "PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": _HOURS}
                )
                if answer.status != 200:
                    raise ValueError(f"the metadata service gives no token ({answer.status})")
                self._token = answer.body.decode()
            return self._token
