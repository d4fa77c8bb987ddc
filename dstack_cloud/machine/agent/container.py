"""The container: started once, found again, stopped."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from .engine import NEVER, Engine
from .errors import Failure
from .outcome import GONE
from .paths import Paths, read_json
from .progress import prepare
from .shield import shield

_FOLDERS = ("--volume", "--env-file")


def fill_in(argv: Sequence[str], paths: Paths) -> list[str]:
    """Replace ``{root}`` and ``{volatile}`` in the values of options that name folders, and
    nowhere else: the rest is the user's own text."""
    filled = list(argv)
    for index, option in enumerate(argv[:-1]):
        if option in _FOLDERS:
            filled[index + 1] = (
                argv[index + 1].replace("{root}", paths.root).replace("{volatile}", paths.volatile)
            )
    return filled


def ever_ran(container: Mapping[str, Any]) -> bool:
    return bool(container["State"]["StartedAt"] != NEVER)


def run_container(engine: Engine, job: Mapping[str, Any], paths: Paths) -> Any:
    """Start the container unless it was started before; returns its description.

    Raises Failure when the engine refuses.
    """
    name = job["container"]["name"]
    container = engine.inspect(name)
    if container is not None and not ever_ran(container):
        # Made by an agent that was killed before it could start it.
        engine.remove(name)
        container = None
    if container is None:
        if os.path.exists(paths.launched):
            raise Failure("agent", GONE)
        prepare(paths)
        _run(shield(fill_in(job["container"]["run"], paths), job["machine"]), paths)
        container = engine.inspect(name)
        if container is None:
            raise Failure("agent", "the engine started the container but does not know it")
    with open(paths.launched, "w"):
        pass
    return container


def _run(argv: Sequence[str], paths: Paths) -> None:
    # Secrets travel in this process's environment: not in the arguments, which any user of the
    # machine can list, and not in an env file, which cannot hold a value of several lines.
    environment = {**os.environ, **(read_json(paths.secrets) or {})}
    try:
        done = subprocess.run(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
    except OSError as error:
        raise Failure("setup", f"{argv[0]} cannot be run: {error}") from error
    if done.returncode != 0:
        raise refusal(done.returncode, done.stderr.decode("utf-8", "replace"))


def refusal(code: int, stderr: str) -> Failure:
    """What ``docker run`` means by its exit code and words."""
    lines = [line for line in stderr.splitlines() if line.startswith("docker: ")]
    words = (lines[0][len("docker: ") :] if lines else stderr.strip()) or "no reason given"
    words = words.replace("Error response from daemon: ", "").rstrip(".")
    if "No space left on device" in words or "no space left on device" in words:
        return Failure(
            "disk",
            "the disk is full: the container could not be made",
            "ask for more with `disk` in the workflow's resources, such as disk: 200GB",
        )
    if "No such image" in words:
        return Failure("image", words)
    if "could not select device driver" in words or "nvidia" in words.lower():
        return Failure(
            "setup",
            f"the machine cannot give the container its GPUs: {words}",
            "the machine's image may lack the driver or the container toolkit",
        )
    # 126: the command is there but cannot be run; 127: it is not in the image.
    if code in (126, 127):
        return Failure(
            "exited",
            f"the container's command cannot be run: {words}",
            "check that the image has the program",
            exit_code=code,
        )
    return Failure("setup", f"the container could not be started: {words}")
