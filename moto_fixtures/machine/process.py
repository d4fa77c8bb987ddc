"""Programs that outlive the command that started them: started, watched, ended by their id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from moto_fixtures.machine.shell import FixtureError


def start(
    argv: Sequence[str | Path],
    *,
    directory: Path,
    name: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> int:
    """Start a program in its own session; ``NAME.log`` and ``NAME.pid`` go to ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / f"{name}.log").open("ab") as log:
        child = subprocess.Popen(
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=None if env is None else dict(env),
            cwd=cwd,
        )
    (directory / f"{name}.pid").write_text(f"{child.pid} {_born(child.pid)}\n")
    return child.pid


def pid(directory: Path, name: str) -> int | None:
    """The id of the running program, or None. An id that another process has by now is not it."""
    try:
        number, born = (directory / f"{name}.pid").read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(number) if born == _born(int(number)) else None


def stop(directory: Path, name: str, patience: float = 5.0) -> None:
    """End the program: politely, and after ``patience`` seconds not. Harmless when it is gone."""
    running = pid(directory, name)
    if running is None:
        return
    for number, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(running, number)
        deadline = time.monotonic() + wait
        while pid(directory, name) is not None and time.monotonic() < deadline:
            _reap(running)
            time.sleep(0.02)
        if pid(directory, name) is None:
            return


def wait_ready(
    ready: Callable[[], bool], *, directory: Path, name: str, seconds: float = 30
) -> None:
    """Return once ``ready``; raise FixtureError with the log's end if it ends or takes longer."""
    deadline = time.monotonic() + seconds
    while not ready():
        ended = pid(directory, name) is None
        if ended or time.monotonic() > deadline:
            log = (directory / f"{name}.log").read_text(errors="replace").splitlines()
            what = "ended at once" if ended else f"did not get ready within {seconds:.0f} s"
            raise FixtureError(f"{name} {what}; its log ends with:\n" + "\n".join(log[-15:]))
        time.sleep(0.02)


def _born(number: int) -> str:
    """When the process began, in clock ticks since boot; empty for none and for a zombie."""
    try:
        # proc(5): the name, in parentheses, may itself hold anything; state is field 3.
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _reap(number: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(number, os.WNOHANG)
