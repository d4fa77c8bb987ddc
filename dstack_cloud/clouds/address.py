"""The caller's public address, as the other side of the network sees it."""

from __future__ import annotations

import ipaddress

from dstack_cloud.errors import UnreachableError

# It tells everybody's address in plain text, to whatever cloud the caller belongs.
_SERVICE = "checkip.amazonaws.com"
_TIMEOUT_S = 5


def caller_address(base: str | None, hint: str) -> str:
    """The IPv4 address that the caller's packets come from, asked of checkip.amazonaws.com.

    ``base`` is where the cloud is reached where that is not its usual address: its host is asked
    in the service's name. Raises UnreachableError, with the ``hint``, when the service does not
    answer, or not with an IPv4 address.
    """
    import http.client
    import urllib.parse
    import urllib.request

    place = urllib.parse.urlsplit(base or f"https://{_SERVICE}")
    url = f"{place.scheme}://{place.netloc}/"
    request = urllib.request.Request(url, headers={"Host": _SERVICE})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            text = answer.read(200).decode("ascii", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(f"{_SERVICE} does not tell your address: {error}", hint) from error
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise UnreachableError(
            f"{_SERVICE} does not tell your IPv4 address, but '{text[:60]}'", hint
        ) from None
