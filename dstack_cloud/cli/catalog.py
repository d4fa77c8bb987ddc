"""``catalog``: how old the machine types and prices are, and fetching today's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

from dstack_cloud.cli import options, render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dstack_cloud.catalog.query import Catalog
    from dstack_cloud.config import Config

catalog = typer.Typer(
    help="Machine types and prices: their age, and fetching today's.", no_args_is_help=True
)


@catalog.command()
def update(
    cloud: options.Cloud = None, region: options.Region = None, as_json: options.Json = False
) -> None:
    """Read what your account is offered, and today's prices, from the clouds."""
    from dstack_cloud import config as configuration
    from dstack_cloud.catalog.open import UNSAID, open_catalogs, planned_over

    config = configuration.load()
    opened = open_catalogs(planned_over(config, cloud) or UNSAID, config.accounts)
    refresh_all(opened, config, region or ())
    if as_json:
        render.print_json(_as_json(opened))


@catalog.command()
def show(as_json: options.Json = False) -> None:
    """Say where the machine types and prices come from and how old they are."""
    from dstack_cloud import config as configuration
    from dstack_cloud.catalog.open import open_catalogs

    config = configuration.load()
    catalogs = open_catalogs((), config.accounts)
    if as_json:
        render.print_json(_as_json(catalogs))
        return
    rows = [
        (
            one.cloud,
            age.region,
            age.prices_of,
            f"read live, {ago(age.live_at)}" if age.live_at else "bundled",
        )
        for one in catalogs
        for age in one.ages()
    ]
    render.print_table(("cloud", "region", "prices of", ""), rows)


def refresh_all(opened: Sequence[Catalog], config: Config, regions: Sequence[str]) -> None:
    """`refresh_regions` of several catalogs: where regions are named, each cloud gets its own.

    A single cloud gets them all, to say which it does not know.
    """
    from dstack_cloud.catalog.regions import known_in

    for one in opened:
        named = regions if len(opened) == 1 else known_in(one.cloud, regions)
        if named or not regions:
            refresh_regions(one, config, named)


def refresh_regions(opened: Catalog, config: Config, regions: Sequence[str]) -> None:
    """Read ``regions`` of a cloud live, the configured ones if none is named; say how it went.

    Raises InputError where no region is set, and the errors of the cloud.
    """
    from dstack_cloud import wiring
    from dstack_cloud.catalog.update import refresh

    names = wiring.regions(config, opened.cloud, regions)
    report = render.TerminalReporter()
    started = time.monotonic()
    report.working("catalog", f"reading {', '.join(names)}")
    for live in refresh(opened, wiring.catalog_source(config, opened.cloud), names):
        detail = f"{opened.cloud} {live.region}: {len(live.places)} machine types"
        report.done("catalog", detail, time.monotonic() - started)
        for problem in live.problems:
            report.warn("catalog", f"{problem.message}: the prices known before stay", problem.hint)


def _as_json(catalogs: Sequence[Catalog]) -> dict[str, object]:
    return {
        "regions": [
            {
                "cloud": one.cloud,
                "region": age.region,
                "prices_of": age.prices_of,
                "live_at": age.live_at,
            }
            for one in catalogs
            for age in one.ages()
        ]
    }


def ago(moment: str) -> str:
    """``5.0 s ago``, ``3 h 07 m ago`` from an RFC 3339 moment."""
    from dstack_cloud.units import format_duration, parse_time, utc_now

    return f"{format_duration(max(0.0, (utc_now() - parse_time(moment)).total_seconds()))} ago"
