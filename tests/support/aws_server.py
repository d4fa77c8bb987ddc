"""An emulated AWS with stub machines, as a process of its own on the loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.emulated_aws import Aws

ROOT = Path(__file__).parents[2]


@contextmanager
def serving(name: str) -> Iterator[Aws]:
    """The emulator for the length of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "moto_fixtures.aws.server", "--stub", "--name", name],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        word, port = process.stdout.readline().split()
        assert word == "ready"
        yield Aws(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        assert process.wait(60) == 0
        process.stdout.close()
