"""How things look: colour and live progress on a terminal, plain lines elsewhere.

Our own words go to stderr; stdout is for facts and for the container's output.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from dstack_cloud.errors import DstackError
from dstack_cloud.units import format_duration

_STEP_WIDTH = 12
_DETAIL_WIDTH = 50
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
    mark = coloured("✗", "red", sys.stderr)
    lines = str(error).splitlines() or [""]
    say(f"{mark} {error.kind:<{_STEP_WIDTH}} {lines[0]}")
    for line in lines[1:]:
        say(f"  {'':<{_STEP_WIDTH}} {line}")
    for line in (error.hint or "").splitlines():
        say(f"  {'':<{_STEP_WIDTH}} {line}")


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
        took = "" if seconds is None else f"  {format_duration(seconds):>10}"
        self._write(f"{mark} {step:<{_STEP_WIDTH}} {detail:<{_DETAIL_WIDTH}}{took}".rstrip())

    def warn(self, step: str, message: str, hint: str | None = None) -> None:
        mark = coloured("!", "yellow", sys.stderr)
        self._write(f"{mark} {step:<{_STEP_WIDTH}} {message}")
        if hint:
            self._write(f"  {'':<{_STEP_WIDTH}} {hint}")

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

    def opened(self, run: str) -> None:
        """Not shown."""

    def output(self, data: bytes) -> None:
        # stdout is kept for the one JSON document.
        sys.stderr.buffer.write(data)
        sys.stderr.buffer.flush()

    def closed(self) -> None:
        """Not shown."""


def columns() -> int:
    """The terminal's width, 80 where there is none."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except OSError:
        return 80
