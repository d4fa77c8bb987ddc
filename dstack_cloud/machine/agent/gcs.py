"""Google Cloud Storage, by its XML API.

https://cloud.google.com/storage/docs/xml-api/overview
"""

from __future__ import annotations

import http.client
import re
from base64 import b64decode
from collections.abc import Mapping

from .bucket import BucketStore
from .errors import StoreError
from .google_metadata import GoogleMetadata

_ENDPOINT = "https://storage.googleapis.com"
_MD5 = re.compile(r"(?:^|,)\s*md5=([A-Za-z0-9+/]{22}==)")


class GcsStore(BucketStore):
    """Asks as the machine's own service account."""

    # The generation of what is not there.
    only_new: Mapping[str, str] = {"x-goog-if-generation-match": "0"}

    def __init__(
        self, url: str, endpoint: str | None, metadata: GoogleMetadata | None = None
    ) -> None:
        bucket = url[len("gs://") :].partition("/")[0]
        super().__init__(url, (endpoint or _ENDPOINT).rstrip("/"), "/" + bucket)
        self._metadata = metadata or GoogleMetadata()

    def headers(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        given: Mapping[str, str],
        body: bytes,
    ) -> Mapping[str, str]:
        try:
            token = self._metadata.token()
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            raise StoreError(f"the machine's service account gives no token: {error}") from error
        return {**given, "Authorization": f"Bearer {token}"}

    def digest(self, headers: Mapping[str, str]) -> str:
        # Absent of an object that was put together of parts.
        found = _MD5.search(headers.get("x-goog-hash", ""))
        return b64decode(found.group(1)).hex() if found else ""

    def passing(self, status: int, problem: str) -> bool:
        return status == 401
