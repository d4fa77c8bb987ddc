"""The command line of a Python program: its file, the workflow's arguments, the caller's."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from dstack_cloud.spec import ProviderContext


def _as_text(value: Any) -> Any:
    """A list's items are one argument each."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return shlex.join(value)
    return value


Arguments = Annotated[str | None, BeforeValidator(_as_text)]
ARGUMENTS = Field(
    default=None,
    description="Its arguments: a list with one in each item, or a text as in a shell; those of "
    "the command line come last, or where the text says `${{ run.args }}`.",
)


def program_line(words: Sequence[str], arguments: str | None, context: ProviderContext) -> str:
    """A shell's line: ``words``, then the workflow's arguments, then the command line's."""
    parts = [shlex.join(words), arguments or "", shlex.join(context.args)]
    return " ".join(part for part in parts if part)
