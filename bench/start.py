"""How long the program takes to start, beside the bare parts that it starts."""

from __future__ import annotations

from functools import partial

from support import PROGRAM, PYTHON, Row, cold, in_turn, main, median, row

_TIMES = 20


def measure() -> list[Row]:
    """``--help`` and a bare Python with and without typer, in turn, in fresh processes."""
    parts = {
        "bare": [PYTHON, "-c", "pass"],
        "typer": [PYTHON, "-c", "import typer"],
        "help": [PROGRAM, "--help"],
    }
    timed = {name: partial(cold, argv) for name, argv in parts.items()}
    timed |= {f"{name} busy": partial(cold, argv, busy=True) for name, argv in parts.items()}
    took = {name: median(values) for name, values in in_turn(timed, _TIMES).items()}
    return [
        row(
            "dstack-cloud --help, cold",
            took["help"],
            "ms",
            against="import typer",
            peer=took["typer"],
            most=100,
        ),
        row(
            "  processor time of it",
            took["help busy"],
            "ms",
            against="import typer",
            peer=took["typer busy"],
        ),
        row("  Python alone", took["bare"], "ms"),
    ]


if __name__ == "__main__":
    main(measure)
