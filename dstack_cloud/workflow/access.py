"""Whose credentials a container gets: the role or the service account that its workflow names."""

from __future__ import annotations

import re

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html (names and paths) and
# https://cloud.google.com/iam/docs/service-account-types (default accounts have other domains).
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/(?:[!-~]+/)?[\w+=,.@-]{1,64}", re.ASCII)
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9._-]*@[a-z0-9.-]+\.gserviceaccount\.com", re.ASCII)


def cloud_of(access: str) -> str:
    """The cloud whose role or account it is. ValueError for what is neither."""
    if _ROLE.fullmatch(access):
        return "aws"
    if _ACCOUNT.fullmatch(access):
        return "gcp"
    raise ValueError(
        f"'{access}' is neither a role of AWS, like arn:aws:iam::123456789012:role/reader, nor a "
        "service account of Google Cloud, like reader@project.iam.gserviceaccount.com"
    )


def checked(access: str) -> str:
    """The text, if it is one of the two. ValueError otherwise."""
    cloud_of(access)
    return access
