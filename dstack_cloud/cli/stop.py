"""``stop``: end a run, keeping its artifacts, from anywhere."""

from __future__ import annotations

from typing import Annotated

import typer

from dstack_cloud.cli import options, render


def stop(
    run: Annotated[str, typer.Argument(help="The run, as ps lists it.")],
    abort: Annotated[
        bool, typer.Option("--abort", help="At once: no grace, artifacts not saved.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Stop a run: SIGTERM, its grace period, artifacts saved, machine ended."""
    from dstack_cloud import config as configuration
    from dstack_cloud.lifecycle.stop import stop_run
    from dstack_cloud.tools_of_run import tools_of_run

    report = render.QuietReporter() if as_json else render.TerminalReporter()
    tools = tools_of_run(configuration.load(), run, report)
    state = stop_run(tools, run, abort)
    if as_json:
        render.print_json({"run": run, "state": state})
