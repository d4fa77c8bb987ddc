"""``attach``: follow a run from any machine to its end."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from dstack_cloud.cli import options, render


def attach(
    run: Annotated[str, typer.Argument(help="The run, as ps lists it.")],
    as_json: options.Json = False,
) -> int:
    """Follow a run: all of its log, its recovery, then its end, exit code and cost."""
    from dstack_cloud import config as configuration
    from dstack_cloud.cli.planning import Planner
    from dstack_cloud.cli.run import conclude
    from dstack_cloud.lifecycle import driver
    from dstack_cloud.lifecycle.going import Going, keeper
    from dstack_cloud.lifecycle.own_clock import by_own_clock
    from dstack_cloud.lifecycle.private import private_of
    from dstack_cloud.lifecycle.record import record_from_json
    from dstack_cloud.state.runs import read_run
    from dstack_cloud.tools_of_run import tools_of_run

    report = render.QuietReporter() if as_json else render.TerminalReporter()
    config = configuration.load()
    tools = tools_of_run(config, run, report, apart=True)
    submitted = record_from_json(read_run(tools.store, run))
    record = by_own_clock(tools.store, submitted)
    going = Going(
        record,
        Planner(config),
        lambda: private_of(tools, record, os.environ),
        in_time=keeper(tools, submitted),
    )
    return conclude(driver.attach(tools, going), as_json)
