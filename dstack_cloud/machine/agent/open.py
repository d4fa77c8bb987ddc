"""Which store the job names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .store import FolderStore, Store


def open_store(job: Mapping[str, Any]) -> Store:
    """The job's bucket, or its folder."""
    url = job["store"]["url"]
    if url.startswith("s3://"):
        # A folder needs no web client: the local cloud's agent stays that much smaller.
        from .s3 import S3Store

        return S3Store(url, job["store"]["region"], job["store"].get("endpoint"))
    return FolderStore(url)
