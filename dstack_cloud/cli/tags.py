"""``tags``: names for what runs left, and for local files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dstack_cloud.cli import options, render
from dstack_cloud.errors import InputError

if TYPE_CHECKING:
    from dstack_cloud.state.tags import Tag

tags = typer.Typer(
    help="Name what a run left, or local files; a tag stays when its run is deleted."
)

_Name = Annotated[str, typer.Argument(help="The tag's name.")]


@tags.command()
def add(
    tag: _Name,
    run: Annotated[str | None, typer.Argument(help="The run, as ps lists it.")] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", "-f", help="A local file or folder instead (repeatable)."),
    ] = None,
    cloud: options.Cloud = None,
    as_json: options.Json = False,
) -> None:
    """Tag what a run left, or local files."""
    from dstack_cloud import config as configuration
    from dstack_cloud import wiring
    from dstack_cloud.state import runs
    from dstack_cloud.state import tags as state
    from dstack_cloud.stores_of import store_of_run
    from dstack_cloud.units import format_size

    if (run is None) == (not file):
        raise InputError("name either a run or files", "tags add TAG RUN, or tags add TAG --file F")
    config = configuration.load()
    owner = configuration.owner()
    if run is not None:
        name, store = store_of_run(config, run, cloud)
        made = state.add_to_run(store, tag, run, runs.read_run(store, run), owner)
        if not runs.find_run(store, run).state.final:
            render.say(f"! {run} goes on: what it leaves until its end will be in the tag, too")
    else:
        name = wiring.chosen(config, cloud)[0]
        made = state.add_files(wiring.open_store_of(config, name), tag, file or [], owner)
    if as_json:
        render.print_json(_row(name, made))
        return
    render.say(
        f"✓ tagged       {tag}: {_files(made.files)}, {format_size(made.bytes)}"
        + (f" of {run}" if run else "")
    )


@tags.command("list")
def list_tags(as_json: options.Json = False) -> None:
    """List all tags."""
    from dstack_cloud import config as configuration
    from dstack_cloud import wiring
    from dstack_cloud.state import tags as state
    from dstack_cloud.units import format_size

    config = configuration.load()
    found = [
        (cloud, tag)
        for cloud in wiring.configured(config)
        for tag in state.listing(wiring.open_store_of(config, cloud))
    ]
    if as_json:
        render.print_json({"tags": [_row(cloud, tag) for cloud, tag in found]})
        return
    render.print_table(
        ("tag", "cloud", "run", "files", "size", "made"),
        [
            (
                tag.tag,
                cloud,
                tag.run or "local files",
                str(tag.files),
                format_size(tag.bytes),
                tag.created_at,
            )
            for cloud, tag in found
        ],
        right="   rr",
    )


@tags.command()
def delete(
    tag: _Name,
    yes: options.Yes = False,
    cloud: options.Cloud = None,
    as_json: options.Json = False,
) -> None:
    """Delete a tag; what only it held is deleted, too."""
    from dstack_cloud import config as configuration
    from dstack_cloud.state import tags as state
    from dstack_cloud.state.deletion import require_unneeded
    from dstack_cloud.stores_of import store_of_tag
    from dstack_cloud.units import format_size

    _, store = store_of_tag(configuration.load(), tag, cloud)
    found = state.read(store, tag)
    frees = state.frees_files(store, found)
    if frees:
        require_unneeded(store, found.source, f"the tag {tag}")
        count = f"{_files(found.files)} ({format_size(found.bytes)})"
        render.require_yes(f"Delete {tag} and its {count}, which nothing else holds?", yes)
    state.delete(store, found)
    if as_json:
        render.print_json({"tag": tag, "files_deleted": frees})
    else:
        render.say(f"✓ deleted      {tag}" + ("" if frees else "; its files stay with their run"))


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _row(cloud: str, tag: Tag) -> dict[str, Any]:
    return {
        "tag": tag.tag,
        "cloud": cloud,
        "run": tag.run,
        "workflow": tag.workflow,
        "paths": list(tag.paths),
        "files": tag.files,
        "bytes": tag.bytes,
        "created_at": tag.created_at,
        "owner": tag.owner,
    }
