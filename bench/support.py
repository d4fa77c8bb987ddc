"""What the benchmarks share: rows, the table, fresh processes, an emulated cloud. See README.md."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shlex
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = str(ROOT / ".venv" / "bin" / "python")
PROGRAM = str(ROOT / ".venv" / "bin" / "dstack-cloud")


@dataclass(frozen=True)
class Row:
    """One line of the table; the keys of the JSON document."""

    what: str
    value: float
    unit: str
    against: str | None = None
    peer: float | None = None
    ratio: float | None = None
    target: str | None = None
    met: bool | None = None


def row(
    what: str,
    value: float,
    unit: str,
    *,
    against: str | None = None,
    peer: float | None = None,
    most: float | None = None,
    least: float | None = None,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Row:
    """A row, with its ratio to the peer and whether the target is met.

    ``most`` and ``least`` bound the value, ``at_most`` and ``at_least`` the ratio.
    """
    ratio = value / peer if peer else None
    target: str | None = None
    met: bool | None = None
    if most is not None:
        target, met = f"≤ {most:g} {unit}", value <= most
    elif least is not None:
        target, met = f"≥ {least:g} {unit}", value >= least
    elif at_most is not None and ratio is not None:
        target, met = f"≤ {at_most:g}×", ratio <= at_most
    elif at_least is not None and ratio is not None:
        target, met = f"≥ {at_least:g}×", ratio >= at_least
    return Row(what, value, unit, against, peer, ratio, target, met)


def main(measure: Callable[[], list[Row]]) -> None:
    """Measure and print: a table, or with ``--json`` the document."""
    # What was started is taken away, however this one ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rows = measure()
    if "--json" in sys.argv[1:]:
        print(json.dumps([asdict(one) for one in rows], ensure_ascii=False))
    else:
        print("\n".join(table(rows)))


def table(rows: Sequence[Row]) -> list[str]:
    """The rows as aligned lines, a header first."""
    header = ["what", "measured", "against", "its", "ratio", "target", ""]
    cells = [header, *(_cells(one) for one in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(7)]
    right = (1, 3, 4, 5)
    return [
        "  ".join(
            text.rjust(width) if column in right else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]


def _cells(one: Row) -> list[str]:
    return [
        one.what,
        f"{figure(one.value)} {one.unit}",
        one.against or "",
        f"{figure(one.peer)} {one.unit}" if one.peer is not None else "",
        f"{one.ratio:.2f}" if one.ratio is not None else "",
        one.target or "",
        {True: "met", False: "MISSED", None: ""}[one.met],
    ]


def figure(value: float) -> str:
    """Three digits that mean something."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def say(words: str) -> None:
    """Progress, to stderr."""
    print(words, file=sys.stderr, flush=True)


def in_turn(makers: Mapping[str, Callable[[], float]], times: int) -> dict[str, list[float]]:
    """Each measurement ``times`` times, in turn, so that other load hits all alike."""
    found: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(times):
        for name, measure in makers.items():
            found[name].append(measure())
    return found


def cold(argv: Sequence[str], env: Mapping[str, str] | None = None, *, busy: bool = False) -> float:
    """Milliseconds from the start of a fresh process to its end. RuntimeError if it fails.

    With ``busy`` those of the processor that it took: what other load on the machine changes least.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True)
    took = (time.perf_counter() - begin) * 1000
    if done.returncode != 0:
        raise RuntimeError(f"{argv[:4]} failed: {done.stderr.decode('utf-8', 'replace')[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used * 1000 if busy else took


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


@contextlib.contextmanager
def emulator(name: str, *options: str, cloud: str = "aws") -> Iterator[dict[str, str]]:
    """An emulated cloud of that name while in use; yields a process environment for its user."""
    fixtures = [PYTHON, "-m", "moto_fixtures"]
    say(f"starting the emulated cloud {name}, {cloud}")
    own = ("AWS_", "CLOUDSDK_", "DSTACK_", "GOOGLE_", "STORAGE_EMULATOR_HOST")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(own)}
    done = subprocess.run(
        [*fixtures, "up", "--cloud", cloud, "--name", name, *options],
        cwd=ROOT,
        env=clean,
        stdout=subprocess.PIPE,
        check=True,
    )
    try:
        yield {**clean, **exports(done.stdout.decode())}
    finally:
        subprocess.run([*fixtures, "down", "--name", name], cwd=ROOT, env=clean, check=False)


def exports(text: str) -> dict[str, str]:
    """The values of ``export K='V'`` lines."""
    words = [word for line in text.splitlines() for word in shlex.split(line)[1:]]
    return dict(word.split("=", 1) for word in words)
