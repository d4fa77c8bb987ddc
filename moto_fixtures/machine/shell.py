"""Running other programs: one way, with their words in the error when they fail."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_BEGIN = time.monotonic()


class FixtureError(Exception):
    """Something on this host keeps the emulated clouds from working; the text says what to do."""


def say(text: str) -> None:
    """One line of progress on standard error, with the seconds since the start."""
    print(f"[{time.monotonic() - _BEGIN:5.1f}s] {text}", file=sys.stderr, flush=True)


def run(
    argv: Sequence[str | Path],
    *,
    check: bool = True,
    timeout: float = 600,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return its output as text.

    Raises FixtureError, with the last of what it said, when it is absent, fails (unless
    ``check`` is off) or takes longer than ``timeout`` seconds.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=timeout,
            env=env,
            check=False,
        )
    except FileNotFoundError as error:
        raise FixtureError(f"{words[0]} is not installed; run scripts/install-engine") from error
    except subprocess.TimeoutExpired as error:
        raise FixtureError(f"{' '.join(words[:3])} took longer than {timeout:.0f} s") from error
    out = done.stdout.decode(errors="replace")
    err = done.stderr.decode(errors="replace")
    if check and done.returncode != 0:
        tail = "\n".join((out + err).strip().splitlines()[-15:])
        raise FixtureError(f"{' '.join(words[:4])} ended with {done.returncode}:\n{tail}")
    return subprocess.CompletedProcess(words, done.returncode, out, err)


def docker(*words: str | Path, check: bool = True, timeout: float = 600) -> str:
    """Run the Docker client and return what it printed, stripped."""
    return run(["docker", *words], check=check, timeout=timeout).stdout.strip()


def engine_answers() -> bool:
    """Whether a Docker engine answers on this host."""
    try:
        return run(["docker", "version"], check=False, timeout=20).returncode == 0
    except FixtureError:
        return False
