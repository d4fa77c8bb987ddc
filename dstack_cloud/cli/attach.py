"""``attach``: follow a run from any machine to its end."""

from __future__ import annotations

from typing import Annotated

import typer

from dstack_cloud.cli import options, render


def attach(
    run: Annotated[str, typer.Argument(help="The run, as ps lists it.")],
    as_json: options.Json = False,
) -> int:
    """Follow a run: all of its log, then its end, exit code and cost."""
    from dstack_cloud import config as configuration
    from dstack_cloud import wiring
    from dstack_cloud.cli.run import conclude
    from dstack_cloud.lifecycle.driver import attach_to

    report = render.QuietReporter() if as_json else render.TerminalReporter()
    tools = wiring.find_run(configuration.load(), run, report)
    return conclude(attach_to(tools, run), as_json)
