"""A look into an emulated cloud's account, with rights that no command of ours has.

Each cloud's is `Account` of `support.emulated_aws` and `support.emulated_gcp`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from support.words import Asked, words_of


class Account(Protocol):
    """The store, and whatever else a run makes."""

    def keys(self, prefix: str) -> list[str]:
        """Of the store's objects."""

    def read(self, key: str) -> bytes:
        """An object of the store."""

    def remove(self, key: str) -> None:
        """Somebody deletes an object from the store."""

    def left(self) -> list[str]:
        """Everything in the account that a run makes and nobody needs after it, in words."""

    def asked(self, call: dict[str, Any]) -> Asked:
        """What a launch of the call log asked for."""

    def booted(self, calls: list[dict[str, Any]]) -> list[str]:
        """The images of what the calls launched."""

    def allowed(self, policy: str) -> set[str]:
        """The permissions in a policy that ships."""

    def nobody(self, file: Path) -> dict[str, str]:
        """The environment of a user who may do nothing; a key file is written if there is one."""

    def owner(self, file: Path) -> dict[str, str]:
        """The environment of one who may do everything."""

    def interruption(self, notice_s: float) -> dict[str, Any]:
        """The order to take a spot machine away so long after it has been told."""


def account_of(environ: Mapping[str, str]) -> Account:
    """The account of the emulated cloud that an environment reaches."""
    module = import_module(f"support.emulated_{words_of(environ).cloud}")
    found: Account = module.Account(dict(environ))
    return found
