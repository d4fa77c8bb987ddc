"""``ssh``: the system's own ssh, with the run's key and pinned host key."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Annotated

import typer

from dstack_cloud.cli import render
from dstack_cloud.errors import InputError


def ssh(
    run: Annotated[str, typer.Argument(help="The run, as ps lists it.")],
    command: Annotated[
        list[str] | None, typer.Argument(help="What to run there; a shell if nothing.")
    ] = None,
) -> int:
    """Open a shell on a run's machine, or run a command there."""
    import tempfile

    from dstack_cloud import config as configuration
    from dstack_cloud.lifecycle.join import find, join
    from dstack_cloud.tools_of_run import tools_of_run

    config = configuration.load()
    tools = tools_of_run(config, run, render.QuietReporter())
    found = find(tools, run)
    session, machine = join(tools, found)
    session.close()
    if machine.cloud == "local":
        # The container's own view of the repository: what it has written is there to be seen.
        place = os.path.join(tools.reach.home(machine).root, "workflow")
        argv = command or [os.environ.get("SHELL", "/bin/sh")]
        return subprocess.run(argv, cwd=place).returncode
    if shutil.which("ssh") is None:
        raise InputError("there is no ssh command here", "install OpenSSH's client")
    found = find(tools, run)
    assert found.target is not None
    with tempfile.NamedTemporaryFile("w", prefix="dstack-cloud-", suffix=".hosts") as hosts:
        hosts.write(f"{machine.address} {found.target.host_key}\n")
        hosts.flush()
        argv = ["ssh", "-i", str(configuration.client_key(config)), "-o", "IdentitiesOnly=yes"]
        argv += ["-o", f"UserKnownHostsFile={hosts.name}", "-o", "StrictHostKeyChecking=yes"]
        argv += ["-J", machine.jump_host] if machine.jump_host else []
        argv += [f"{machine.user}@{machine.address}", *(command or [])]
        return subprocess.run(argv).returncode
