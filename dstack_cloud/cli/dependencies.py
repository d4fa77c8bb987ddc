"""``run`` with ``deps``: what they are on each cloud, and with ``--with-deps`` what runs first."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO, Any

from dstack_cloud import wiring
from dstack_cloud.cli import render
from dstack_cloud.config import Config
from dstack_cloud.errors import DstackError, InputError, NotFoundError
from dstack_cloud.lifecycle.dependencies import (
    Dependency,
    latest_run,
    require_possible,
    resolve,
)
from dstack_cloud.workflow.dependencies import require_no_circle, rounds
from dstack_cloud.workflow.load import Workflows


class DependencyFailedError(DstackError):
    """A workflow that was to run first has failed; ``exit_code`` is that run's own."""

    kind = "exit"

    def __init__(self, message: str, hint: str, code: int) -> None:
        super().__init__(message, hint)
        self.exit_code = code


def found_on(
    config: Config,
    clouds: Sequence[str],
    workflows: Workflows,
    name: str,
    first: Mapping[str, Any] | None,
) -> dict[str, tuple[Dependency, ...]]:
    """The clouds whose store has all that the workflow depends on, and what that is there.

    ``first`` (``dry_run``, ``yes``, ``region`` of the command line) runs on the first cloud what
    is missing before. InputError for a circle and for what would lie at the same place,
    NotFoundError with the command that makes what is missing, DependencyFailedError.
    """
    require_no_circle(workflows.by_name, name)
    if first is not None:
        _run_missing(config, clouds[0], workflows, name, **first)
    found: dict[str, tuple[Dependency, ...]] = {}
    missing: NotFoundError | None = None
    for cloud in clouds:
        try:
            store = wiring.open_store_of(config, cloud)
            found[cloud] = resolve(store, workflows.get(name), list(workflows.by_name))
        except NotFoundError as error:
            missing = missing or error
    if not found and missing is not None:
        raise missing
    return found


def _run_missing(
    config: Config,
    cloud: str,
    workflows: Workflows,
    name: str,
    dry_run: bool,
    yes: bool,
    region: Sequence[str] | None,
) -> None:
    store = wiring.open_store_of(config, cloud)
    waves = rounds(workflows.by_name, name, lambda one: latest_run(store, one) is None)
    if not waves:
        return
    together = [one for wave in waves for one in wave]
    require_possible(store, workflows.by_name, [*together, name])
    order = ", then ".join(" and ".join(wave) for wave in waves)
    render.say(f"first: {order}")
    if dry_run:
        raise InputError(
            f"the plan of '{name}' can be made when {order} has run", "leave out --dry-run"
        )
    if not yes:
        if not sys.stdin.isatty():
            raise InputError("there is no terminal to ask on, so nothing was launched", "add -y")
        if render.ask(f"Run {order} first? [Y/n]") not in ("", "y", "yes"):
            raise InputError("nothing was launched", "leave out --with-deps, or answer y")
    more = ["--cloud", cloud, *(part for one in region or () for part in ("--region", one))]
    for wave in waves:
        _run_wave(wave, more)


def _run_wave(wave: Sequence[str], more: Sequence[str]) -> None:
    """Beside each other, each a command of its own; every line says whose it is."""
    width = max(map(len, wave))
    running = []
    for name in wave:
        process = subprocess.Popen(
            [sys.executable, "-m", "dstack_cloud", "run", name, "-y", *more],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        prefix = f"{name.ljust(width)} │ ".encode()
        told = threading.Thread(target=_tell, args=(process.stdout, prefix))
        told.start()
        running.append((name, process, told))
    codes = {name: process.wait() for name, process, _ in running}
    for _, _, told in running:
        told.join()
    failed = [name for name, code in codes.items() if code != 0]
    if failed:
        raise DependencyFailedError(
            f"{' and '.join(failed)} failed, so what depends on it was not run",
            f"dstack-cloud run {failed[0]} tries it alone",
            codes[failed[0]],
        )


def _tell(output: IO[bytes], prefix: bytes) -> None:
    # A dependency's output is none of this run's: it goes where our own words go.
    for line in output:
        sys.stderr.buffer.write(prefix + line)
        sys.stderr.buffer.flush()
