"""``runs``: delete runs that have ended, with what they left."""

from __future__ import annotations

from typing import Annotated

import typer

from dstack_cloud.cli import options, render

runs = typer.Typer(help="Delete runs that have ended, with what they left.")


@runs.callback()
def group() -> None:
    """A verb of its own, though there is one alone."""


@runs.command()
def delete(
    run: Annotated[list[str], typer.Argument(help="Runs, as ps lists them.")],
    yes: options.Yes = False,
    cloud: options.Cloud = None,
    as_json: options.Json = False,
) -> None:
    """Delete runs: record, log, and artifacts unless a tag holds them."""
    from dstack_cloud import config as configuration
    from dstack_cloud.state.deletion import (
        delete_run,
        holders,
        require_ended,
        require_unneeded,
    )
    from dstack_cloud.stores_of import store_of_run

    config = configuration.load()
    stores = {name: store_of_run(config, name, cloud)[1] for name in run}
    for name, store in stores.items():
        require_ended(store, name)
        if not holders(store, name):
            require_unneeded(store, name, name)
    held = [name for name, store in stores.items() if holders(store, name)]
    kept = f" (the artifacts of {', '.join(held)} stay: tags hold them)" if held else ""
    render.require_yes(f"Delete {', '.join(stores)}, log and artifacts?{kept}", yes)
    deleted = []
    for name, store in stores.items():
        deleted.append(delete_run(store, name))
        if not as_json:
            tags = ", ".join(deleted[-1].held_by)
            render.say(
                f"✓ deleted      {name}" + (f"; its artifacts stay for {tags}" if tags else "")
            )
    if as_json:
        rows = [
            {"run": one.run, "objects": one.objects, "held_by": list(one.held_by)}
            for one in deleted
        ]
        render.print_json({"deleted": rows})
