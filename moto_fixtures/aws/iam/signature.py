"""Checking a request's signature, version 4.

docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from functools import lru_cache
from urllib.parse import quote, unquote

from moto_fixtures.aws.call import Call

_PARTS = re.compile(
    r"Credential=[^/]+/(?P<date>\d+)/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request,\s*"
    r"SignedHeaders=(?P<headers>[^,]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)


@lru_cache(maxsize=256)
def _key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _path(call: Call) -> str:
    raw = str(call.environ["RAW_URI"]).partition("?")[0] or "/"
    # Every service but S3 signs the path encoded once more than it is sent.
    return raw if call.service == "s3" else quote(raw, safe="/~")


def _query(call: Call) -> str:
    query = str(call.environ.get("QUERY_STRING", ""))
    pairs = []
    for item in query.split("&") if query else []:
        name, _, value = item.partition("=")
        pairs.append((quote(unquote(name), safe="~"), quote(unquote(value), safe="~")))
    return "&".join(f"{n}={v}" for n, v in sorted(pairs))


def _header(call: Call, name: str) -> str:
    if name in ("content-type", "content-length"):
        value = call.environ.get(name.upper().replace("-", "_"))
    else:
        value = call.header(name)
    return " ".join(str(value or "").split())


def signature_holds(call: Call, secret: str) -> bool:
    """Whether the request was signed with this secret key."""
    parts = _PARTS.search(str(call.environ.get("HTTP_AUTHORIZATION", "")))
    if parts is None:
        return False
    names = parts["headers"].split(";")
    digest = call.header("x-amz-content-sha256")
    if digest is None:
        digest = hashlib.sha256(call.body or b"").hexdigest()
    elif (
        call.body is not None
        and re.fullmatch("[0-9a-f]{64}", digest)
        and hashlib.sha256(call.body).hexdigest() != digest
    ):
        return False
    canonical = "\n".join(
        [
            str(call.environ["REQUEST_METHOD"]),
            _path(call),
            _query(call),
            *(f"{name}:{_header(call, name)}" for name in names),
            "",
            parts["headers"],
            digest,
        ]
    )
    scope = f"{parts['date']}/{parts['region']}/{parts['service']}/aws4_request"
    text = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            _header(call, "x-amz-date"),
            scope,
            hashlib.sha256(canonical.encode()).hexdigest(),
        ]
    )
    key = _key(secret, parts["date"], parts["region"], parts["service"])
    wanted = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted, parts["signature"])
