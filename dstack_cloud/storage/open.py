"""Which store a URL means."""

from __future__ import annotations

from collections.abc import Mapping

from dstack_cloud.errors import InputError
from dstack_cloud.storage.base import Store


def open_store(
    url: str,
    *,
    region: str | None = None,
    profile: str | None = None,
    endpoint: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Store:
    """The store at ``s3://NAME[/prefix]`` or ``gs://NAME[/prefix]``, or in a folder.

    ``region`` and ``profile`` are S3's, ``endpoint`` is the bucket's: see `open_s3`, `open_gcs`.
    InputError for a URL that is none of these.
    """
    scheme, separator, _ = url.partition("://")
    if scheme == "s3" and separator:
        from dstack_cloud.storage.s3 import open_s3

        return open_s3(url, region=region, profile=profile, endpoint=endpoint, environ=environ)
    if scheme == "gs" and separator:
        from dstack_cloud.storage.gcs import open_gcs

        return open_gcs(url, endpoint=endpoint, environ=environ)
    if separator:
        raise InputError(f"'{url}' is not a store", "write s3://NAME, gs://NAME, or a folder")
    from dstack_cloud.storage.local import open_local

    return open_local(url)
