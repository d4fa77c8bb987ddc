"""The caller's public address, asked where AWS is reached."""

from __future__ import annotations

from collections.abc import Mapping

from dstack_cloud.clouds import address

_HINT = (
    "name security groups of your own in aws.security_groups: then no rule is made and the "
    "address need not be known"
)


def caller_address(environ: Mapping[str, str]) -> str:
    """The IPv4 address that the caller's packets come from.

    ``AWS_ENDPOINT_URL`` says where AWS is reached, the service that tells the address included.
    Raises UnreachableError when it is not told.
    """
    return address.caller_address(environ.get("AWS_ENDPOINT_URL"), _HINT)
