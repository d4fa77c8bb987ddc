"""What the life of a run tells whoever watches: a seam with three kinds of news."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Receives news in order; never decides anything."""

    def working(self, step: str, detail: str = "") -> None:
        """A step has begun, or goes on with new detail: shown only where it can be replaced."""
        ...

    def done(self, step: str, detail: str = "", seconds: float | None = None) -> None:
        """A step has ended well."""
        ...

    def warn(self, step: str, message: str, hint: str | None = None) -> None:
        """Something the user should know, and what to do about it."""
        ...

    def address(self, step: str, where: str) -> None:
        """Where something can be reached from now on. May be called from another thread."""
        ...

    def opened(self, run: str) -> None:
        """The container's output begins."""
        ...

    def output(self, data: bytes) -> None:
        """The container's output, as written."""
        ...

    def closed(self) -> None:
        """The container's output has ended."""
        ...


class Silent:
    """A reporter for what happens in the background."""

    def working(self, step: str, detail: str = "") -> None:
        """Not told."""

    def done(self, step: str, detail: str = "", seconds: float | None = None) -> None:
        """Not told."""

    def warn(self, step: str, message: str, hint: str | None = None) -> None:
        """Not told."""

    def address(self, step: str, where: str) -> None:
        """Not told."""

    def opened(self, run: str) -> None:
        """Not told."""

    def output(self, data: bytes) -> None:
        """Not told."""

    def closed(self) -> None:
        """Not told."""
