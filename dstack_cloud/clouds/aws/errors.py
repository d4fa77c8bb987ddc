"""From botocore's exceptions to our error tree: no traceback of an SDK reaches the user."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dstack_cloud.clouds.aws.codes import WRONG_CLOCK, known, meaning
from dstack_cloud.clouds.base import FailureKind
from dstack_cloud.errors import (
    CredentialsError,
    DstackError,
    InputError,
    InternalError,
    NoCapacityError,
    PermissionDeniedError,
    QuotaError,
    ThrottledError,
    UnreachableError,
)

_LOGIN = "sign in again: aws sso login (with --profile NAME for a profile), or renew the session"
_ERRORS: dict[FailureKind, type[DstackError]] = {
    FailureKind.CAPACITY: NoCapacityError,
    FailureKind.PRICE: NoCapacityError,
    FailureKind.QUOTA: QuotaError,
    FailureKind.PERMISSION: PermissionDeniedError,
    FailureKind.CREDENTIALS: CredentialsError,
    FailureKind.CONFIGURATION: InputError,
    FailureKind.THROTTLED: ThrottledError,
}
# "Signature expired: … is now earlier than …", "Signature not yet current: …"
# (docs.aws.amazon.com/general/latest/gr/signature-v4-troubleshooting.html).
_BY_CLOCK = re.compile("signature (expired|not yet current)", re.IGNORECASE)
# By class name, so that botocore need not be imported to build the table.
_NO_CREDENTIALS = {
    "NoCredentialsError": "there are no AWS credentials",
    "PartialCredentialsError": "the AWS credentials are incomplete",
    "NoAuthTokenError": "there is no AWS sign-in token",
}
_EXPIRED = {
    "SSOTokenLoadError",
    "UnauthorizedSSOTokenError",
    "SSOError",
    "TokenRetrievalError",
    "LoginTokenLoadError",
    "LoginRefreshRequired",
    "LoginInsufficientPermissions",
    "LoginError",
}
_UNREACHABLE = {
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ConnectionClosedError",
    "ProxyConnectionError",
    "SSLError",
    "ConnectionError",
    "HTTPClientError",
    "ResponseStreamingError",
}


def code_of(error: Any) -> str:
    """The error code of a ``ClientError``; the HTTP status where AWS gave none."""
    return str(error.response.get("Error", {}).get("Code", "Unknown"))


def message_of(error: Any) -> str:
    """AWS's own words, without the encoded part that only an administrator can decode."""
    text = str(error.response.get("Error", {}).get("Message", "") or code_of(error))
    return text.split(" Encoded authorization failure message", 1)[0].strip().rstrip(".")


def failed(code: str, message: str, doing: str, region: str | None = None) -> DstackError:
    """The error of ours for a code of AWS, met while ``doing`` something (in a region)."""
    where = f" in {region}" if region else ""
    found = meaning(code, message)
    if known(code) is None:
        return DstackError(f"{doing}{where} failed: {code}: {message}")
    hint = found.hint
    if "iaminstanceprofile" in message.lower().replace(" ", ""):
        hint = "run dstack-cloud init: it makes the role of the machines (known after some seconds)"
    if found.kind is FailureKind.CREDENTIALS and _BY_CLOCK.search(message):
        hint = WRONG_CLOCK
    return _ERRORS[found.kind](f"{doing}{where} failed: {code}: {message}", hint)


def ours(error: Exception, doing: str, region: str | None = None) -> DstackError:
    """The error of ours for an exception of botocore's, met while ``doing`` something."""
    where = f" in {region}" if region else ""
    names = {kind.__name__ for kind in type(error).__mro__}
    if "ClientError" in names:
        return failed(code_of(error), message_of(error), doing, region)
    for name, words in _NO_CREDENTIALS.items():
        if name in names:
            return CredentialsError(
                words, "aws configure, aws sso login, or set AWS_PROFILE or aws.profile"
            )
    if "ProfileNotFound" in names:
        name = getattr(error, "kwargs", {}).get("profile", "")
        return CredentialsError(
            f"there is no AWS profile '{name}'",
            "aws configure list-profiles shows the profiles there are",
        )
    if names & _EXPIRED:
        return CredentialsError(f"the AWS sign-in has expired: {error}".rstrip("."), _LOGIN)
    if {"CredentialRetrievalError", "MetadataRetrievalError", "InfiniteLoopConfigError"} & names:
        return CredentialsError(
            f"the AWS credentials could not be had: {error}".rstrip("."),
            "look at the profile in ~/.aws/config: aws sts get-caller-identity",
        )
    if names & {"NoRegionError", "InvalidRegionError", "UnknownRegionError"}:
        return InputError(
            f"{doing} failed: {error}".rstrip("."), "name a region with --region or aws.regions"
        )
    if names & _UNREACHABLE:
        return UnreachableError(
            f"{doing}{where} failed: {error}".rstrip("."),
            f"is '{region}' the name of a region, and is the network there?"
            if region
            else "is the network there?",
        )
    if "ParamValidationError" in names:
        return InternalError(f"{doing}{where} failed: {error}".rstrip("."))
    return DstackError(f"{doing}{where} failed: {error}".rstrip("."))


@contextmanager
def translated(doing: str, region: str | None = None) -> Iterator[None]:
    """Turn whatever botocore raises in the block into an error of ours.

    ``doing`` begins the message: "launching", "reading the subnets". Not for generators: the
    block must hold the call itself.
    """
    try:
        yield
    except DstackError:
        raise
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("botocore", "boto3", "urllib3"):
            raise
        raise ours(error, doing, region) from error
