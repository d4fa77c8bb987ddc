"""How long the program takes to start, beside the bare parts that it starts."""

from __future__ import annotations

from support import PROGRAM, PYTHON, Row, cold, in_turn, main, median, row

_TIMES = 20


def measure() -> list[Row]:
    """``--help`` and a bare Python with and without typer, in turn, in fresh processes."""
    took = in_turn(
        {
            "bare": lambda: cold([PYTHON, "-c", "pass"]),
            "typer": lambda: cold([PYTHON, "-c", "import typer"]),
            "help": lambda: cold([PROGRAM, "--help"]),
        },
        _TIMES,
    )
    bare, typer, shown = (median(took[name]) for name in ("bare", "typer", "help"))
    return [
        row("Python alone, cold", bare, "ms"),
        row("dstack-cloud --help, cold", shown, "ms", against="import typer", peer=typer, most=100),
    ]


if __name__ == "__main__":
    main(measure)
