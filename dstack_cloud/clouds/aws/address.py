"""The caller's public address, as the other side of the network sees it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from dstack_cloud.errors import UnreachableError

_SERVICE = "checkip.amazonaws.com"
_TIMEOUT_S = 5
_HINT = (
    "name security groups of your own in aws.security_groups: then no rule is made and the "
    "address need not be known"
)


def caller_address(environ: Mapping[str, str]) -> str:
    """The IPv4 address that the caller's packets come from, asked of checkip.amazonaws.com.

    ``AWS_ENDPOINT_URL`` says where AWS is reached, this service of its included. Raises
    UnreachableError when the service does not answer, or not with an IPv4 address.
    """
    import http.client
    import urllib.request

    base = environ.get("AWS_ENDPOINT_URL") or f"https://{_SERVICE}"
    request = urllib.request.Request(base.rstrip("/") + "/", headers={"Host": _SERVICE})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            text = answer.read(200).decode("ascii", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(f"{_SERVICE} does not tell your address: {error}", _HINT) from error
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise UnreachableError(
            f"{_SERVICE} does not tell your IPv4 address, but '{text[:60]}'", _HINT
        ) from None
