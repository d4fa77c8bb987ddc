"""How long the best 20 offers of both clouds' bundled catalogs take, and the matching alone.

Cold is a fresh process whose catalogs are in the cache: the files that the first command of all
makes of the bundled snapshots, which is timed apart. No configuration, no credentials.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from support import PROGRAM, PYTHON, Row, cold, in_turn, main, median, row

_TIMES = 15
_REQUESTS = {
    "--gpu A100:8": ["--gpu", "A100:8"],
    "--cpu 8 --memory 32GB": ["--cpu", "8", "--memory", "32GB"],
}
# In a fresh process, so that nothing is compiled, cached or read before: open, then match.
_MATCH = """
import time
from dstack_cloud.catalog.open import open_catalogs
from dstack_cloud.cli.requests import overridden
from dstack_cloud.match import match
from dstack_cloud.resources import ResourceRequest
import sys
gpu, cpu, memory = (word or None for word in sys.argv[1:])
request = overridden(
    ResourceRequest(interruptible=None), int(cpu) if cpu else None, memory, gpu, None, None, None,
    [], None)
catalogs = open_catalogs()
begin = time.perf_counter()
plan = match(request, catalogs, limit=20)
took = time.perf_counter() - begin
assert plan.offers
assert {catalog.cloud for catalog in catalogs} == {"aws", "gcp"}
print(took * 1000)
"""
_MATCHED = {"--gpu A100:8": ["A100:8", "", ""], "--cpu 8 --memory 32GB": ["", "8", "32GB"]}


def measure() -> list[Row]:
    """Both requests and the bare parts in turn, in fresh processes."""
    with tempfile.TemporaryDirectory() as folder:
        env = _nobody(Path(folder) / "home")
        first = cold([PROGRAM, "offers", "--gpu", "A100:8"], env)
        makers: dict[str, Callable[[], float]] = {
            "typer": partial(cold, [PYTHON, "-c", "import typer, sqlite3"], env)
        }
        for name, words in _REQUESTS.items():
            makers[name] = partial(cold, [PROGRAM, "offers", *words], env)
            makers[f"busy {name}"] = partial(cold, [PROGRAM, "offers", *words], env, busy=True)
        for name, words in _MATCHED.items():
            makers[f"match {name}"] = partial(_matching, words, env)
        took = {name: median(values) for name, values in in_turn(makers, _TIMES).items()}
    parts = "import typer, sqlite3"
    rows = []
    for name in _REQUESTS:
        what = f"offers {name}, cold"
        rows += [
            row(what, took[name], "ms", against=parts, peer=took["typer"], most=250),
            row("  processor time of it", took[f"busy {name}"], "ms"),
            row("  the matching in it", took[f"match {name}"], "ms", most=10),
        ]
    return [*rows, row("offers, the very first (makes the catalogs' caches)", first, "ms")]


def _matching(words: list[str], env: Mapping[str, str]) -> float:
    done = subprocess.run(
        [PYTHON, "-c", _MATCH, *words], env=env, stdout=subprocess.PIPE, check=True
    )
    return float(done.stdout)


def _nobody(home: Path) -> dict[str, str]:
    """An environment without configuration, credentials or cache."""
    return {"PATH": os.environ["PATH"], "HOME": str(home)}


if __name__ == "__main__":
    main(measure)
