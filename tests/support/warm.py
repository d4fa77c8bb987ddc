"""The command line, forked off a process that has imported all of it.

A test of a hundred cases would spend most of its time on imports. Everything after them is the
program as it is: a process of its own, its own environment, and it can be killed.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

# Before it starts a process the library looks at all the others, and an exit code is read once.
_ONE = threading.Lock()
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "boto3.session",
        "obstore.store",
        "paramiko",
        "dstack_cloud.cli.app",
        "dstack_cloud.cli.planning",
        "dstack_cloud.cli.plan_table",
        "dstack_cloud.catalog.update",
        "dstack_cloud.clouds.aws.cloud",
        "dstack_cloud.lifecycle.driver",
        "dstack_cloud.lifecycle.leftovers",
        "dstack_cloud.lifecycle.submit",
        "dstack_cloud.ssh.reach",
        "dstack_cloud.ssh.session",
        "dstack_cloud.state.code",
        "dstack_cloud.storage.s3",
        "dstack_cloud.wiring",
        "dstack_cloud.workflow.load",
        "dstack_cloud_providers.docker",
    ]
)


def begin(*words: str, folder: Path, environ: Mapping[str, str], output: Path) -> ForkServerProcess:
    """Start ``dstack-cloud WORDS`` in a folder; what it writes goes to ``output`` (.out, .err)."""
    process = _CONTEXT.Process(target=_main, args=(words, folder, dict(environ), output))
    with _ONE:
        process.start()
    return process


def ended(process: ForkServerProcess, seconds: float = 240) -> int:
    """Its exit code, once it has ended; it is killed when that takes longer."""
    if not wait([process.sentinel], seconds):
        process.kill()
        wait([process.sentinel])
    with _ONE:
        process.join()
        assert process.exitcode is not None
        return process.exitcode


def run(*words: str, folder: Path, environ: Mapping[str, str], output: Path) -> int:
    """Run it to its end; the exit code."""
    return ended(begin(*words, folder=folder, environ=environ, output=output))


def ask(*words: str, folder: Path, environ: Mapping[str, str], output: Path) -> Any:
    """The JSON document that it prints; AssertionError with its words where it fails."""
    code = run(*words, "--json", folder=folder, environ=environ, output=output)
    text = output.with_suffix(".out").read_text()
    errors = output.with_suffix(".err").read_text()
    assert code == 0, f"{' '.join(words)} ended with {code}: {text}{errors}"
    return json.loads(text)


def _main(
    words: tuple[str, ...], folder: Path, environ: dict[str, str], output: Path
) -> None:  # pragma: no cover - in another process
    # A shell starts what is to run in the background with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, suffix in ((1, ".out"), (2, ".err")):
        with output.with_suffix(suffix).open("wb") as file:
            os.dup2(file.fileno(), number)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    sys.argv = ["dstack-cloud", *words]
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False)
    from dstack_cloud.cli.app import main

    try:
        main()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
