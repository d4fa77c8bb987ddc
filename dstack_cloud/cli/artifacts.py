"""``artifacts``: list and download what a run left in the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dstack_cloud.cli import options, render

artifacts = typer.Typer(help="List and download what a run left in the store.")


@artifacts.command("list")
def list_artifacts(
    run: Annotated[str, typer.Argument(help="A run, or :TAG.")],
    as_json: options.Json = False,
) -> None:
    """List the files of a run's artifacts."""
    from dstack_cloud import config as configuration
    from dstack_cloud.state.artifacts import list_artifacts as listing
    from dstack_cloud.stores_of import store_of_source
    from dstack_cloud.units import format_size, format_time

    source, store = store_of_source(configuration.load(), run)
    files = list(listing(store, source))
    if as_json:
        rows = [
            {"path": file.path, "size": file.size, "modified": format_time(file.modified)}
            for file in files
        ]
        render.print_json({"run": run, "artifacts": rows})
        return
    render.print_table(
        ("size", "file"), [(format_size(file.size), file.path) for file in files], right="r"
    )


@artifacts.command()
def download(
    run: Annotated[str, typer.Argument(help="A run, or :TAG.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder to write to.", file_okay=False)
    ] = Path(),
    as_json: options.Json = False,
) -> None:
    """Download a run's artifacts; a file is there whole or not at all."""
    from dstack_cloud import config as configuration
    from dstack_cloud.errors import NotFoundError
    from dstack_cloud.state.artifacts import download_artifacts
    from dstack_cloud.stores_of import store_of_source
    from dstack_cloud.units import format_size

    source, store = store_of_source(configuration.load(), run)
    brought = download_artifacts(store, source, output)
    if as_json:
        render.print_json(
            {"run": run, "output": str(output), "files": brought.files, "bytes": brought.bytes}
        )
        return
    if not brought.files:
        raise NotFoundError(
            f"{run} has left no artifacts",
            "'artifacts' in the workflow names the folders to keep",
        )
    count = "1 file" if brought.files == 1 else f"{brought.files} files"
    render.say(f"{count}, {format_size(brought.bytes)} → {output}")
