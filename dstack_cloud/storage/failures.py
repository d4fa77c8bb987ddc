"""What a bucket's failure means: pure, from obstore's text to our errors.

obstore gives one exception type to most failures; status and code are in its text (tests hold
every one of these texts against a real HTTP answer).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dstack_cloud.errors import (
    CredentialsError,
    DstackError,
    InputError,
    InternalError,
    NotFoundError,
    PermissionDeniedError,
    ThrottledError,
    UnreachableError,
)

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>|\(code: (\w+)\)")
_MESSAGE = re.compile(r"<Message>([^<]+)</Message>")
# What Google adds to a message that is the same for many failures.
_DETAILS = re.compile(r"<Details>([^<]+)</Details>")
# The project, not the caller, is what cannot be used: its API, or whoever pays for it.
_DISABLED = re.compile(r"(?i)accessNotConfigured|SERVICE_DISABLED|AccountProblem|is disabled")
_NETWORK = re.compile(r"kind: (Connect|Timeout|Interrupted|Request|Decode|Unknown)\b")
_BROKEN_OFF = re.compile(r"credential provider: KeyboardInterrupt\b")
_EXPECTED_REGION = re.compile(r"<Region>([\w-]+)</Region>|expecting '([\w-]+)'")

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_EXPIRED = {"ExpiredToken", "TokenRefreshRequired", "InvalidToken", "RequestExpired"}
_WRONG_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "UnrecognizedClientException"}
_WRONG_REGION = {
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
}
_THROTTLED = {"SlowDown", "ServiceUnavailable", "RequestLimitExceeded", "Throttling"}
_PASSING = {408, 409, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Failure:
    """One failed request.

    ``status`` is HTTP's, None when no answer came; ``connected`` False means that nothing can
    have reached the bucket. ``region`` is the bucket's own, where the answer named it.
    """

    status: int | None
    code: str
    message: str
    network: bool = False
    connected: bool = True
    region: str | None = None
    redirect: bool = False

    @property
    def passing(self) -> bool:
        """Whether the same request may work in a moment."""
        return self.network or self.status in _PASSING or self.code in _THROTTLED

    @property
    def unsure(self) -> bool:
        """Whether the request may have been carried out all the same."""
        return self.passing and self.connected and self.status not in (409, 429)

    @property
    def missing(self) -> bool:
        """Whether the object, in a bucket that exists, is not there."""
        return self.status == 404 and self.code != "NoSuchBucket"

    @property
    def expired(self) -> bool:
        """Whether credentials that worked before no longer do."""
        return self.code in _EXPIRED

    @property
    def misplaced(self) -> bool:
        """Whether the bucket is in another region than the one asked."""
        return self.redirect or self.code in _WRONG_REGION


def broken_off(text: str) -> bool:
    """Whether Ctrl-C was what failed: obstore asks for credentials in the caller's own thread, and
    makes an error of its own of whatever is raised there."""
    return _BROKEN_OFF.search(text) is not None


def read_failure(text: str) -> Failure:
    """What obstore's text tells."""
    head, _, debug = text.partition("Debug source:")
    status = _STATUS.search(head)
    code = _CODE.search(head)
    message = _DETAILS.search(head) or _MESSAGE.search(head)
    network = None if status else _NETWORK.search(debug)
    region = _EXPECTED_REGION.search(head)
    return Failure(
        status=int(status[1]) if status else None,
        code=(code[1] or code[2]) if code else "",
        message=message[1].strip() if message else head.strip().splitlines()[0][:300],
        network=network is not None,
        connected=network is None or network[1] != "Connect",
        region=(region[1] or region[2]) if region else None,
        redirect="redirect without LOCATION" in head,
    )


@dataclass(frozen=True)
class Advice:
    """What to do next, in the words of one cloud."""

    expired: str
    wrong: str
    denied: str
    disabled: str | None = None


def as_error(
    failure: Failure, *, bucket: str, action: str, where: str, advice: Advice
) -> DstackError:
    """The user's error; ``action`` is the cloud's name of it, ``where`` the endpoint's."""
    store = f"the bucket '{bucket}'"
    if failure.code == "NoSuchBucket":
        return NotFoundError(
            f"{store} does not exist", "make it with `dstack-cloud init`, or correct the store"
        )
    if failure.misplaced:
        place = f"in {failure.region}" if failure.region else "in another region"
        return InputError(f"{store} is {place}", "give that region to the store")
    if failure.expired:
        return CredentialsError(
            f"the credentials for {store} have expired",
            advice.expired,
        )
    if failure.code in _WRONG_KEYS:
        return CredentialsError(
            f"the credentials for {store} are wrong: {failure.message}",
            advice.wrong,
        )
    if failure.code == "RequestTimeTooSkewed":
        return CredentialsError(
            f"{store} refuses the signature: this machine's clock is wrong",
            "set it (timedatectl set-ntp true) and try again",
        )
    if failure.status == 401:
        return CredentialsError(
            f"{store} does not accept the credentials: {failure.message}", advice.wrong
        )
    if failure.status == 403 and _DISABLED.search(f"{failure.code} {failure.message}"):
        return PermissionDeniedError(f"{store} cannot be used: {failure.message}", advice.disabled)
    if failure.status == 403 or failure.code in ("AccessDenied", "AllAccessDisabled"):
        return PermissionDeniedError(
            f"{action} is not allowed on {store}",
            advice.denied,
        )
    if failure.code in _THROTTLED or failure.status in (429, 503):
        return ThrottledError(f"{store} asks to slow down", "try again in a minute")
    if failure.network or failure.status in _PASSING:
        answer = f"answers {failure.status}" if failure.status else "does not answer"
        return UnreachableError(f"{store} at {where} {answer}", "check the network and try again")
    if failure.status in (400, 405):
        told = f"{failure.code} {failure.message}".strip()
        return InputError(f"{store} at {where} refuses {action}: {told}")
    return InternalError(f"{action} on {store}: {failure.code} {failure.message}".strip())
