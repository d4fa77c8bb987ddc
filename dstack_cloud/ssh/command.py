"""Command lines as lists of arguments: quoting, sudo, and words that must not be shown."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

HIDDEN = "****"


@dataclass(frozen=True)
class Secret:
    """An argument that may be run but never shown: its text form is ``****``."""

    value: str

    def __str__(self) -> str:
        return HIDDEN

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"


Argument = str | Secret


def sudo(argv: Sequence[Argument], user: str) -> list[Argument]:
    """``argv`` as root, when ``user`` is not root already. Never asks for a password."""
    return list(argv) if user == "root" else ["sudo", "-n", "--", *argv]


def line(argv: Sequence[Argument]) -> str:
    """One line for a remote POSIX shell: what runs, secrets included. Not for a log."""
    return shlex.join(a.value if isinstance(a, Secret) else a for a in argv)


def shown(argv: Sequence[Argument]) -> str:
    """The same line for people and logs, with ``****`` for every secret."""
    return " ".join(HIDDEN if isinstance(a, Secret) else shlex.quote(a) for a in argv)


def mask(text: str, secrets: Iterable[str]) -> str:
    """``text`` with every occurrence of a secret's value replaced by ``****``.

    Longer values first, so that a secret which contains another one leaves no rest behind. Empty
    values hide nothing.
    """
    for value in sorted({s for s in secrets if s}, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text
