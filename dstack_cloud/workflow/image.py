"""The names that a container image can have."""

from __future__ import annotations

import re

# https://github.com/distribution/reference/blob/main/regexp.go
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_TAG = r":\w[\w.-]{0,127}"
_DIGEST = r"@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html: always private.
_ECR = re.compile(r"[0-9]{12}\.dkr[.-]ecr(?:-fips)?\.[a-z0-9.-]+/.*", re.ASCII)
_NAME = re.compile(rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*(?:{_TAG})?(?:{_DIGEST})?", re.ASCII)


def problem_of(image: str) -> str | None:
    """What is wrong with the name of an image, None for one that can be pulled."""
    if _NAME.fullmatch(image):
        return None
    small = image.lower() != image and _NAME.fullmatch(image.lower())
    why = "; it must be in small letters" if small else ""
    return f"'{image}' is not the name of an image{why}"


def needs_login(image: str) -> bool:
    """Whether no machine can pull it before it has signed in, whoever may do that."""
    return _ECR.fullmatch(image) is not None
