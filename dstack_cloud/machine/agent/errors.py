"""Why a run cannot go on, and why a store did not answer."""

from __future__ import annotations


class Failure(Exception):
    """Ends the attempt: ``reason`` as in end.json, with a message and a hint for people."""

    def __init__(
        self, reason: str, message: str, hint: str | None = None, exit_code: int | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.hint = hint
        self.exit_code = exit_code


class Interrupted(Exception):
    """Something asked for the end while a step was under way; the control knows what."""


class StoreError(Exception):
    """The store refused, or did not answer. ``passing``: the same request may work later."""

    def __init__(self, message: str, passing: bool = True) -> None:
        super().__init__(message)
        self.passing = passing
