"""Which store and which cloud the job names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .cloud import Cloud
from .store import FolderStore, Store


def open_store(job: Mapping[str, Any]) -> Store:
    """The job's bucket, or its folder."""
    url = job["store"]["url"]
    if url.startswith("s3://"):
        # A folder needs no web client: the local cloud's agent stays that much smaller.
        from .s3 import S3Store

        return S3Store(url, job["store"]["region"], job["store"].get("endpoint"))
    if url.startswith("gs://"):
        from .gcs import GcsStore

        return GcsStore(url, job["store"].get("endpoint"))
    return FolderStore(url)


def open_cloud(job: Mapping[str, Any]) -> Cloud:
    """The cloud that is asked for notices, prices and the machine's end."""
    if job["asks"] == "aws":
        from .ec2 import Ec2

        return Ec2(job)
    if job["asks"] == "gcp":
        from .gce import Gce

        return Gce(job)
    return Cloud(job)
