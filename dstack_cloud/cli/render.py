"""How things look: colour and live progress on a terminal, plain lines elsewhere.

Our own words go to stderr; stdout is for facts and for the container's output.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from dstack_cloud.errors import DetachedError, DstackError, InputError
from dstack_cloud.units import format_duration

_STEP_WIDTH = 12
# Lines are no longer than this on a wider terminal, and where there is none.
_LINE = 80
_INDENT = " " * (_STEP_WIDTH + 3)
_COLOURS = {"green": "32", "red": "31", "yellow": "33", "dim": "2", "bold": "1"}


def is_terminal(stream: TextIO) -> bool:
    """Whether colour and rewriting are welcome on ``stream`` (NO_COLOR and TERM=dumb say no)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain


def coloured(text: str, colour: str, stream: TextIO) -> str:
    """``text`` in a colour, if the stream is a terminal."""
    return f"\033[{_COLOURS[colour]}m{text}\033[0m" if is_terminal(stream) else text


def say(text: str = "") -> None:
    """One line of our own words, to stderr."""
    print(text, file=sys.stderr, flush=True)


def print_json(document: object) -> None:
    """The one JSON document of a verb, to stdout."""
    print(json.dumps(document, indent=2, ensure_ascii=False), flush=True)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], right: str = "") -> None:
    """Columns to stdout, two blanks apart; ``right`` has an ``r`` for each right-aligned column."""
    table = [list(header), *[list(row) for row in rows]]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for number, row in enumerate(table):
        cells = [
            cell.rjust(width) if right[column : column + 1] == "r" else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        line = "  ".join(cells).rstrip()
        print(coloured(line, "dim", sys.stdout) if number == 0 else line)


def print_error(error: DstackError) -> None:
    """What happened, where, what to do next: to stderr."""
    calm = isinstance(error, DetachedError)
    mark = coloured("!", "yellow", sys.stderr) if calm else coloured("✗", "red", sys.stderr)
    first, *rest = str(error).splitlines() or [""]
    say(f"{mark} {error.kind:<{_STEP_WIDTH}} {_wrapped(first)}")
    for line in [*rest, *(error.hint or "").splitlines()]:
        say(f"{_INDENT}{_wrapped(line)}")


class TerminalReporter:
    """News of a run as lines on stderr, its output on stdout."""

    def __init__(self) -> None:
        self._live = is_terminal(sys.stderr)
        self._replaceable = False
        self._at_line_start = True

    def working(self, step: str, detail: str = "") -> None:
        if self._live:
            width = columns() - 1
            self._write(f"· {step:<{_STEP_WIDTH}} {detail}"[:width], replaceable=True)

    def done(self, step: str, detail: str = "", seconds: float | None = None) -> None:
        mark = coloured("✓", "green", sys.stderr)
        took = "" if seconds is None else format_duration(seconds)
        space = min(columns(), _LINE) - len(_INDENT) - len(detail)
        words = f"{detail}{took:>{space}}" if space > len(took) else f"{detail}  {took}"
        self._write(f"{mark} {step:<{_STEP_WIDTH}} {_wrapped(words)}".rstrip())

    def warn(self, step: str, message: str, hint: str | None = None) -> None:
        mark = coloured("!", "yellow", sys.stderr)
        self._write(f"{mark} {step:<{_STEP_WIDTH}} {_wrapped(message)}")
        for line in (hint or "").splitlines():
            self._write(f"{_INDENT}{_wrapped(line)}")

    def address(self, step: str, where: str) -> None:
        # Not broken into lines, whatever its length: it is to be clicked on.
        mark = coloured("✓", "green", sys.stderr)
        self._write(f"{mark} {step:<{_STEP_WIDTH}} {where}")

    def opened(self, run: str) -> None:
        title = f"─ {run} "
        tail = " Ctrl-C detaches, the run goes on ─"
        fill = "─" * max(1, min(columns(), 80) - len(title) - len(tail))
        self._write(coloured(title + fill + tail, "dim", sys.stderr))

    def output(self, data: bytes) -> None:
        if not data:
            return
        self._clear()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        self._at_line_start = data.endswith(b"\n")

    def closed(self) -> None:
        # Our line must not continue the container's last one, where both are on one screen.
        if not self._at_line_start and sys.stdout.isatty():
            say()
        self._at_line_start = True
        if self._live:
            # The terminal may have echoed a ^C.
            print("\r\033[K", end="", file=sys.stderr)
        self._write(coloured("─" * min(columns(), 80), "dim", sys.stderr))

    def _write(self, line: str, replaceable: bool = False) -> None:
        self._clear()
        print(line, end="" if replaceable else "\n", file=sys.stderr, flush=True)
        self._replaceable = replaceable

    def _clear(self) -> None:
        if self._replaceable:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
            self._replaceable = False


class QuietReporter:
    """For ``--json``: only warnings, as plain lines on stderr; output still to stderr."""

    def working(self, step: str, detail: str = "") -> None:
        """Not shown."""

    def done(self, step: str, detail: str = "", seconds: float | None = None) -> None:
        """Not shown."""

    def warn(self, step: str, message: str, hint: str | None = None) -> None:
        say(f"! {step}: {message}" + (f" ({hint})" if hint else ""))

    def address(self, step: str, where: str) -> None:
        say(f"{step}: {where}")

    def opened(self, run: str) -> None:
        """Not shown."""

    def output(self, data: bytes) -> None:
        # stdout is kept for the one JSON document.
        sys.stderr.buffer.write(data)
        sys.stderr.buffer.flush()

    def closed(self) -> None:
        """Not shown."""


def ask(question: str) -> str:
    """The answer to a question on the terminal, in small letters; the cursor stays beside it."""
    print(f"{question} ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower()


def require_yes(question: str, yes: bool) -> None:
    """Ask before something is deleted. InputError where the answer is no, or nobody is there."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError("there is no terminal to ask on, so nothing was deleted", "add -y")
    if ask(f"{question} [y/N]") not in ("y", "yes"):
        raise InputError("nothing was deleted")


def width_of(stream: TextIO) -> int | None:
    """How many characters a line of a terminal takes; None where there is no terminal."""
    return os.get_terminal_size(stream.fileno()).columns or None if stream.isatty() else None


def columns() -> int:
    """The width of the terminal that our words go to; 80 where there is none."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _LINE
    except (OSError, ValueError):
        return _LINE


def _wrapped(text: str) -> str:
    """Long words of ours, on a terminal, broken between words and indented like a step's detail.

    Elsewhere a line stays a line: it may be searched for.
    """
    width = columns() - len(_INDENT)
    if not sys.stderr.isatty() or len(text) <= width or width < 20:
        return text
    import textwrap

    lead = " " * (len(text) - len(text.lstrip()))
    lines = textwrap.wrap(
        text, width, subsequent_indent=lead, break_long_words=False, break_on_hyphens=False
    )
    return f"\n{_INDENT}".join(lines)
