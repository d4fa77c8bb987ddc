"""S3: where a bucket is, and how a request to it is signed.

https://docs.aws.amazon.com/AmazonS3/latest/API/
"""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Mapping

from .bucket import BucketStore
from .credentials import CredentialSource
from .sigv4 import sign


def suffix(region: str) -> str:
    """The domain of AWS's partition that the region lies in."""
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def address(bucket: str, region: str, endpoint: str | None) -> tuple[str, str]:
    """The endpoint and the path's beginning: path style for an endpoint of one's own, and for
    buckets with a dot, whose name no wildcard certificate matches."""
    if endpoint:
        return endpoint.rstrip("/"), "/" + bucket
    if "." in bucket:
        return f"https://s3.{region}.{suffix(region)}", "/" + bucket
    return f"https://{bucket}.s3.{region}.{suffix(region)}", ""


class S3Store(BucketStore):
    only_new: Mapping[str, str] = {"if-none-match": "*"}

    def __init__(
        self, url: str, region: str, endpoint: str | None, source: CredentialSource | None = None
    ) -> None:
        bucket = url[len("s3://") :].partition("/")[0]
        super().__init__(url, *address(bucket, region, endpoint))
        self.region = region
        self._source = source or CredentialSource()

    def headers(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        given: Mapping[str, str],
        body: bytes,
    ) -> Mapping[str, str]:
        return sign(
            method,
            path,
            query,
            {"host": self._web.host, **given},
            body,
            credentials=self._source.get(),
            region=self.region,
            service="s3",
            stamp=time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
        )

    def digest(self, headers: Mapping[str, str]) -> str:
        digest = headers.get("etag", "").strip('"')
        # Encrypted with a key of KMS, an ETag has the form of an MD5 and is none.
        by_kms = headers.get("x-amz-server-side-encryption", "").startswith("aws:kms")
        if len(digest) == 32 and not by_kms:
            return digest
        # Of an upload in parts; then rclone has left the whole's there.
        stored = headers.get("x-amz-meta-md5chksum", "")
        return b64decode(stored).hex() if stored else ""

    def passing(self, status: int, problem: str) -> bool:
        return "Expired" in problem or "RequestTimeTooSkewed" in problem
