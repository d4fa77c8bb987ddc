"""One command to the machine's firewall."""

from __future__ import annotations

import subprocess


def ask(program: str, *words: str) -> str | None:
    """None if it went well, else why not. ``-w`` waits for whoever else is at it."""
    try:
        done = subprocess.run(
            [program, "-w", "30", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return None
    return done.stderr.decode("utf-8", "replace").strip() or f"{program} exits {done.returncode}"
