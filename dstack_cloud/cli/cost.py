"""``cost``: what runs cost, by attempt and in total, against on demand; and a run's picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dstack_cloud.cli import options, render
from dstack_cloud.errors import DstackError, InputError

if TYPE_CHECKING:
    from datetime import datetime

    from dstack_cloud.config import Config
    from dstack_cloud.lifecycle.bills import RunBill
    from dstack_cloud.lifecycle.picture import Picture


def cost(
    runs: Annotated[
        list[str] | None, typer.Argument(help="These runs, attempt by attempt.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", help="Only what ended or ran since: 7d, or 2026-11-01."),
    ] = None,
    workflow: Annotated[
        str | None, typer.Option("--workflow", help="Only runs of this workflow.")
    ] = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--spot-history", help="Follow the moves of the spot price (asks AWS; 90 days back)."
        ),
    ] = False,
    picture: Annotated[
        bool, typer.Option("--picture", help="Draw a run and the spot prices meanwhile.")
    ] = False,
    svg: Annotated[
        Path | None, typer.Option("--svg", help="Write the picture to this SVG file.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the picture to this HTML file.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show what runs cost, against what they would have cost on demand."""
    from dstack_cloud import config as configuration
    from dstack_cloud.cli.cost_table import bills_as_json, print_attempts, print_runs
    from dstack_cloud.cli.spending import read_bills

    if (picture or svg or html) and len(runs or ()) != 1:
        raise InputError("a picture is of one run", "dstack-cloud cost RUN --svg FILE")
    config = configuration.load()
    after = _moment(since) if since is not None else None
    bills = read_bills(config, runs or [], workflow, after, follow=follow or picture)
    if as_json:
        render.print_json(bills_as_json(bills))
    elif runs:
        print_attempts(bills)
    else:
        print_runs(bills)
    if picture or svg or html:
        _draw(config, bills[0], picture and not as_json, svg, html)


def _draw(config: Config, bill: RunBill, show: bool, svg: Path | None, html: Path | None) -> None:
    from dstack_cloud.cli import picture_svg, picture_text

    drawn = _picture(config, bill)
    if show:
        print()
        for line in picture_text.picture_lines(drawn, render.columns()):
            print(line)
    for path, text in ((svg, picture_svg.svg), (html, picture_svg.html)):
        if path is not None:
            try:
                path.write_text(text(drawn), encoding="utf-8")
            except OSError as error:
                raise InputError(f"{path} cannot be written: {error.strerror}") from None
            render.say(f"{bill.run} → {path}")


def _picture(config: Config, bill: RunBill) -> Picture:
    """The picture, with the prices where they can be had; a warning where they cannot."""
    from dstack_cloud import today
    from dstack_cloud.cli.spending import planned, submitted_at
    from dstack_cloud.lifecycle.picture import picture_of
    from dstack_cloud.units import utc_now

    now = utc_now()
    submitted, wanted = submitted_at(config, bill.run), planned(bill)
    end = (bill.attempts[-1].ended_at if bill.attempts else None) or now
    try:
        changes = today.spot_history(config, wanted, submitted, end) if wanted else []
    except DstackError as error:
        render.say(f"! the spot prices could not be read: {error.message}")
        changes = []
    return picture_of(bill, submitted, now, changes)


def _moment(text: str) -> datetime:
    from datetime import UTC, datetime, timedelta

    from dstack_cloud.units import parse_duration, utc_now

    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        pass
    try:
        return utc_now() - timedelta(seconds=parse_duration(text))
    except (ValueError, OverflowError):
        raise InputError(
            f"--since: '{text}' is neither a time nor a duration", "write 7d, 12h or 2026-11-01"
        ) from None
