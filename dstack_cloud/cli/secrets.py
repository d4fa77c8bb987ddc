"""``secrets``: values that a workflow names and nothing shows."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from dstack_cloud.cli import options, render
from dstack_cloud.errors import NotFoundError
from dstack_cloud.nearest import did_you_mean

secrets = typer.Typer(
    help="Keep values that workflows use as ${{ secrets.NAME }}, in the cloud's secret manager."
)

_Name = Annotated[str, typer.Argument(help="The secret's name.")]


@secrets.command("set")
def set_secret(name: _Name, cloud: options.Cloud = None, as_json: options.Json = False) -> None:
    """Keep a secret; its value comes from standard input, or is asked for unseen."""
    from dstack_cloud import config as configuration
    from dstack_cloud import wiring
    from dstack_cloud.secret_manager import LARGEST, require_name, value_of

    require_name(name)
    config = configuration.load()
    where = wiring.chosen(config, cloud)[0]
    if sys.stdin.isatty():
        import getpass

        try:
            data = getpass.getpass(f"Value of {name}: ", sys.stderr).encode()
        except EOFError:
            data = b""
    else:
        # No more than shows that it is too long.
        data = sys.stdin.buffer.read(LARGEST + 3)
    wiring.open_secrets(config, where).set(name, value_of(data))
    if as_json:
        render.print_json({"secret": name, "cloud": where})
    else:
        render.say(f"✓ kept         {name} on {where}: use it as ${{{{ secrets.{name} }}}}")


@secrets.command("list")
def list_secrets(cloud: options.Cloud = None, as_json: options.Json = False) -> None:
    """List all secrets: names and dates, never values."""
    from dstack_cloud import config as configuration
    from dstack_cloud import wiring

    config = configuration.load()
    clouds = wiring.chosen(config, cloud) if cloud else wiring.configured(config)
    rows: list[dict[str, Any]] = [
        {
            "secret": one.name,
            "cloud": where,
            "created_at": one.created_at,
            "changed_at": one.changed_at,
        }
        for where in clouds
        for one in wiring.open_secrets(config, where).listing()
    ]
    if as_json:
        render.print_json({"secrets": rows})
        return
    render.print_table(
        ("secret", "cloud", "made", "changed"),
        [(row["secret"], row["cloud"], row["created_at"], row["changed_at"]) for row in rows],
    )


@secrets.command()
def delete(
    name: _Name,
    yes: options.Yes = False,
    cloud: options.Cloud = None,
    as_json: options.Json = False,
) -> None:
    """Delete a secret, for good."""
    from dstack_cloud import config as configuration
    from dstack_cloud import wiring

    config = configuration.load()
    where = wiring.chosen(config, cloud)[0]
    manager = wiring.open_secrets(config, where)
    names = [one.name for one in manager.listing()]
    if name not in names:
        raise NotFoundError(
            f"there is no secret '{name}' on {where}{did_you_mean(name, names)}",
            "dstack-cloud secrets list shows them; --cloud names another cloud",
        )
    render.require_yes(f"Delete the secret {name} on {where}? Its value is gone then.", yes)
    manager.delete(name)
    if as_json:
        render.print_json({"secret": name, "cloud": where})
    else:
        render.say(f"✓ deleted      {name} on {where}")
