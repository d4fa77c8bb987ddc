"""What a failed pull means, by the engine's words for it: it tells errors apart by text only. Pure.

The words are those of Docker's own image store and of containerd's; the registries' codes are in
https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .errors import Failure
from .registry import HUB, Login, ecr_region, host_of, is_google

# A machine that has just booted may have no name service yet, and registries have bad seconds.
_SHORT = (3.0, 3.0)
# Most registries count requests by the second. Docker Hub counts pulls by the hours.
_LONGER = (2.0, 5.0, 10.0, 20.0)

_FULL = re.compile(r"no space left on device")
_LIMIT = re.compile(r"toomanyrequests|too many requests|rate limit|rate exceeded|\b429\b")
_HOURS = re.compile(r"pull rate limit")
_PLATFORM = re.compile(
    r"no matching manifest|no match for platform|does not match the (specified|detected) platform"
    r"|does not provide the specified platform"
)
_UNKNOWN_USER = re.compile(
    r"no basic auth credentials|unauthorized|authentication required"
    r"|incorrect username or password|\b401\b"
)
_DENIED = re.compile(r"denied|insufficient_scope|authorization failed|forbidden|\b403\b")
_ABSENT = re.compile(r"not found|manifest unknown|unknown manifest|name unknown|does not exist")
_NO_NAME = re.compile(r"invalid reference|invalid repository name|repository name must be")
_UNREACHABLE = re.compile(
    r"no such host|connection refused|i/o timeout|timeout exceeded|network is unreachable"
    r"|no route to host|connection reset|tls handshake|server misbehaving"
    r"|temporary failure in name resolution|awaiting headers|\beof\b|\b50[0234]\b|does not answer"
)


class Meaning(NamedTuple):
    """``pauses``: how long to wait before each further try, in seconds; none, no further try."""

    failure: Failure
    pauses: tuple[float, ...] = ()


def meaning_of(image: str, message: str, login: Login | None = None) -> Meaning:
    """What the engine's error text means for an image that was pulled with that login."""
    host = host_of(image)
    text = _without_name(image, message.lower())
    if _FULL.search(text):
        return Meaning(
            Failure(
                "disk",
                f"the disk is full: the image {image} does not fit",
                "ask for more with `disk` in the workflow's resources, such as disk: 200GB",
            )
        )
    if _LIMIT.search(text):
        return _limited(image, host, message, login, by_hours=_HOURS.search(text) is not None)
    if _PLATFORM.search(text):
        return Meaning(
            Failure(
                "image",
                f"the image {image} does not exist for this machine's architecture",
                "use an image that is built for linux/amd64",
            )
        )
    # Both before what is absent: registries say of what may not be seen that it may not exist.
    # "denied" is in the words for an unknown user, too, where Docker Hub is meant.
    if _UNKNOWN_USER.search(text) and not re.search(r"pull access denied", text):
        return Meaning(_unknown_user(image, host, message, login))
    if _DENIED.search(text):
        return Meaning(_denied(image, host, message, login))
    if _NO_NAME.search(text):
        return Meaning(
            Failure(
                "image",
                f"'{image}' is not the name of an image",
                "write it like ubuntu:24.04 or ghcr.io/owner/name:tag",
            )
        )
    if _UNREACHABLE.search(text):
        return Meaning(
            Failure(
                "registry",
                f"the registry of {image} cannot be reached: {message}",
                "check the registry in the image's name, and the machines' way to it; else try "
                "again",
            ),
            _SHORT,
        )
    if _ABSENT.search(text):
        return Meaning(
            Failure(
                "image",
                f"the image {image} does not exist",
                "check the image's name and tag",
            )
        )
    return Meaning(Failure("image", f"the image {image} cannot be pulled: {message}"), _SHORT)


def _without_name(image: str, text: str) -> str:
    """The user's words are not the engine's: an image may be called ``denied``."""
    name = image.lower()
    bare = name.partition("@")[0]
    path = bare.rpartition(":")[0] if ":" in bare.rpartition("/")[2] else bare
    inside = path.partition("/")[2] if host_of(image) != HUB else path
    for part in sorted({name, bare, path, inside}, key=len, reverse=True):
        # Never a part of another word: an image called `a` is in most of them.
        if part:
            text = re.sub(rf"(?<![a-z0-9]){re.escape(part)}(?![a-z0-9])", "", text)
    return text


def _limited(image: str, host: str, message: str, login: Login | None, by_hours: bool) -> Meaning:
    if host != HUB and not by_hours:
        return Meaning(
            Failure(
                "rate-limit",
                f"the registry {host} is asked too often, and refuses {image}: {message}",
                "try again in some minutes, or use a copy of the image in another registry",
            ),
            _LONGER,
        )
    who = "the login's account" if login else "this machine's address"
    first = "wait some hours" if login else "give a Docker Hub login as registry_auth"
    return Meaning(
        Failure(
            "rate-limit",
            f"the limit of pulls for {who} is reached at {_called(host)}, so it refuses {image}: "
            f"{message}",
            f"{first}, or use a copy of the image in Amazon ECR or Google's Artifact Registry, "
            "which machines of that cloud pull from with their own role",
        )
    )


def _called(host: str) -> str:
    return "Docker Hub" if host == HUB else host


def _unknown_user(image: str, host: str, message: str, login: Login | None) -> Failure:
    if login is None:
        return Failure("login", f"{_called(host)} wants a login for {image}", _how_to_sign_in(host))
    if login.role:
        return Failure(
            "login",
            f"{host} does not take the login of the machine's role for {image}: {message}",
            "check that the registry is one of this cloud and account",
        )
    return Failure(
        "login",
        f"{_called(host)} does not take the login of registry_auth for {image}: {message}",
        "check username and password; dstack-cloud secrets set keeps another one",
    )


def _denied(image: str, host: str, message: str, login: Login | None) -> Failure:
    if login is None:
        return Failure(
            "image",
            f"the image {image} does not exist, or it is private: access is denied",
            f"check the image's name; if it is private, {_how_to_sign_in(host)}",
        )
    if login.role:
        return Failure(
            "denied",
            f"the machine's role may not pull {image}: {message}",
            "check the image's name; dstack-cloud init lets the role read the registries of its "
            "own account or project, and any other has to let it in",
        )
    return Failure(
        "denied",
        f"the login of registry_auth may not pull {image}, or there is no such image",
        "check the image's name, and what the account may read",
    )


def _how_to_sign_in(host: str) -> str:
    other = "give a login with registry_auth in the workflow"
    if ecr_region(host) is not None:
        return f"run it on AWS, whose machines sign in by themselves, or {other}"
    if is_google(host):
        return f"run it on Google Cloud, whose machines sign in by themselves, or {other}"
    return other
