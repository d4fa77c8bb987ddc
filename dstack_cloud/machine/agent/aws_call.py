"""One call to a service of AWS, signed with the machine's role.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from typing import Any

from .credentials import CredentialSource
from .errors import StoreError
from .s3 import suffix
from .sigv4 import encode_query, sign
from .web import Web

_NAMES = {"ec2": "EC2", "ecr": "ECR", "sts": "STS"}
_HOSTS = {"ecr": "api.ecr"}
_FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


class Refused(StoreError):
    """The service has answered with an error."""


def query(
    service: str,
    job: Mapping[str, Any],
    parameters: Mapping[str, str],
    source: CredentialSource | None = None,
) -> str:
    """A call in the query protocol: the answer's XML. StoreError if it is refused, or there is no
    answer."""
    body = encode_query(parameters).encode()
    return post(service, job, job["region"], parameters["Action"], _FORM, body, source)


def post(
    service: str,
    job: Mapping[str, Any],
    region: str,
    action: str,
    headers: Mapping[str, str],
    body: bytes,
    source: CredentialSource | None = None,
) -> str:
    """A call in any protocol: the answer's text. Refused where the service refuses it, another
    StoreError where it does not answer."""
    endpoint = job["endpoints"].get(service)
    if not endpoint:
        endpoint = f"https://{_HOSTS.get(service, service)}.{region}.{suffix(region)}"
    web = Web(endpoint.rstrip("/"))
    signed = sign(
        "POST",
        "/",
        {},
        {"host": web.host, **headers},
        body,
        credentials=(source or CredentialSource()).get(),
        region=region,
        service=service,
        stamp=time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
    )
    try:
        answer = web.request("POST", "/", signed, body)
    except (OSError, http.client.HTTPException) as error:
        raise StoreError(f"{_NAMES[service]} does not answer: {error}") from error
    finally:
        web.close()
    text = answer.body.decode("utf-8", "replace")
    if answer.status != 200:
        raise Refused(f"{action}: {text[:600]}", passing=answer.status >= 500)
    return text
