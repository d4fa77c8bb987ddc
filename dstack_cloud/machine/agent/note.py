"""The agent's own words, for the journal (or, on the local cloud, a file)."""

from __future__ import annotations

import contextlib
import sys
import traceback


def note(text: str) -> None:
    """One line. Where it goes may be full: that must not stop anything."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def note_error() -> None:
    """The traceback of the error that is being handled."""
    note(traceback.format_exc())
