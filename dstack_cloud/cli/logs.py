"""``logs``: a run's output, from its machine while there is one, else from the store."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def logs(
    run: Annotated[str, typer.Argument(help="The run, as ps lists it.")],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")
    ] = False,
    timestamps: Annotated[
        bool, typer.Option("--timestamps", "-t", help="The moment of each line before it.")
    ] = False,
) -> None:
    """Print a run's output, of all attempts in order."""
    from dstack_cloud import config as configuration
    from dstack_cloud.cli import render
    from dstack_cloud.cli.sync_words import sync_words
    from dstack_cloud.lifecycle.read_logs import print_logs, sync_of
    from dstack_cloud.state.runs import read_run
    from dstack_cloud.tools_of_run import tools_of_run
    from dstack_cloud.units import utc_now

    tools = tools_of_run(configuration.load(), run, render.QuietReporter(), apart=follow)
    out = sys.stdout.buffer

    def write(data: bytes) -> None:
        out.write(data)
        out.flush()

    nodes = int(read_run(tools.store, run)["container"].get("nodes", 1))
    if nodes > 1:
        from dstack_cloud.lifecycle.read_nodes import print_nodes

        print_nodes(tools, run, nodes, follow, timestamps, write)
    else:
        print_logs(tools, run, follow, timestamps, write)
    behind = sync_of(tools, run)
    if words := sync_words(behind, utc_now()):
        render.say(f"artifacts: {words}")
