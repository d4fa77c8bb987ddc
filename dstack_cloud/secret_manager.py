"""Where secrets are kept: the seam between those who need them and each cloud's secret manager."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dstack_cloud.errors import InputError

# What every manager takes, and what an environment variable can hold.
LARGEST = 64 * 1024
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Secret:
    """A secret that is kept, without its value; the moments are RFC 3339 in UTC."""

    name: str
    created_at: str
    changed_at: str


class SecretManager(Protocol):
    """Keeps secrets by name. Every method raises what the cloud refuses as errors of ours."""

    def set(self, name: str, value: str) -> None:
        """Keep a value, in place of a former one."""
        ...

    def listing(self) -> list[Secret]:
        """All that are kept, by name."""
        ...

    def values(self, names: Sequence[str]) -> Mapping[str, str]:
        """The values of those among ``names`` that are kept."""
        ...

    def delete(self, name: str) -> None:
        """Keep it no longer, at once. Harmless where it is not kept."""
        ...


def require_name(name: str) -> None:
    """InputError for what cannot be written as ``${{ secrets.NAME }}``."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise InputError(
            f"'{name}' is not a name for a secret",
            f"use letters, digits and _, no digit first, {_LONGEST_NAME} characters at most",
        )


def value_of(data: bytes) -> str:
    """The value that was typed or piped in: one line end after it is not part of it.

    InputError for what no environment variable can hold; it does not show the value.
    """
    if data.endswith(b"\n"):
        data = data[:-2] if data.endswith(b"\r\n") else data[:-1]
    if not data:
        raise InputError("the secret's value is empty, so nothing was kept", "give it one")
    if len(data) > LARGEST:
        raise InputError(
            f"the secret's value has {len(data)} bytes; {LARGEST} is the most that can be kept",
            "keep a file elsewhere, and in the secret what opens it",
        )
    try:
        value = data.decode()
    except UnicodeDecodeError:
        value = "\0"
    if "\0" in value:
        raise InputError(
            "the secret's value is not text, which an environment variable must be",
            "encode it, with base64 say, and decode it in the workflow",
        )
    return value
