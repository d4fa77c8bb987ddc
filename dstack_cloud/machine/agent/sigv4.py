"""AWS Signature Version 4, for requests with their whole payload at hand.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote


class Credentials(NamedTuple):
    """``expires`` is seconds since 1970, 0 for never."""

    key: str
    secret: str
    token: str
    expires: float


def encode_path(path: str) -> str:
    """The path as S3 wants it in the request and in the signature: encoded once."""
    return quote(path, safe="/-_.~")


def encode_query(query: Mapping[str, str]) -> str:
    return "&".join(
        "{}={}".format(quote(key, safe="-_.~"), quote(value, safe="-_.~"))
        for key, value in sorted(query.items())
    )


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def sign(
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    payload: bytes,
    *,
    credentials: Credentials,
    region: str,
    service: str,
    stamp: str,
) -> dict[str, str]:
    """All headers of the request, signed. ``headers`` must hold ``host``; ``path`` is encoded
    already; ``stamp`` is ``20260131T090500Z``."""
    digest = hashlib.sha256(payload).hexdigest()
    all_headers = {key.lower(): value for key, value in headers.items()}
    all_headers["x-amz-date"] = stamp
    if service == "s3":
        all_headers["x-amz-content-sha256"] = digest
    if credentials.token:
        all_headers["x-amz-security-token"] = credentials.token
    names = sorted(all_headers)
    signed = ";".join(names)
    canonical = "\n".join(
        [
            method,
            path,
            encode_query(query),
            *("{}:{}".format(name, " ".join(all_headers[name].split())) for name in names),
            "",
            signed,
            digest,
        ]
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashed])
    key = _hmac(b"AWS4" + credentials.secret.encode(), stamp[:8])
    for part in (region, service, "aws4_request"):
        key = _hmac(key, part)
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    all_headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.key}/{scope}, "
        f"SignedHeaders={signed}, Signature={signature}"
    )
    return all_headers
