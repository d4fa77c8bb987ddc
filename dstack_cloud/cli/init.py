"""``init``: the bucket, the roles and the configuration, once for an account; harmless again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from dstack_cloud.cli import options, render
from dstack_cloud.errors import InputError

if TYPE_CHECKING:
    from dstack_cloud.config import Config


def init(
    cloud: Annotated[str, typer.Option("--cloud", help="aws, gcp or local.")],
    store: Annotated[
        str | None,
        typer.Option("--store", help="s3://NAME, gs://NAME, or a folder for the local cloud."),
    ] = None,
    region: Annotated[
        list[str] | None, typer.Option("--region", help="A region to run in (repeatable).")
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", help="The AWS profile to use from now on.")
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", help="The Google Cloud project to use from now on.")
    ] = None,
    member: Annotated[
        list[str] | None,
        typer.Option(
            "--member", help="Who may run on Google Cloud: user:ada@example.com (repeatable)."
        ),
    ] = None,
    yes: options.Yes = False,
    as_json: options.Json = False,
) -> None:
    """Make the store, the machines' role and the configuration. May be repeated."""
    from dstack_cloud import config as configuration
    from dstack_cloud import wiring
    from dstack_cloud.config_save import save

    config = configuration.load()
    if cloud == "aws":
        changed = _aws(config, store, region, profile)
    elif cloud == "gcp":
        changed = _gcp(config, store, region, project)
    elif cloud == "local":
        folder = store or config.local.store
        changed = replace(config, local=replace(config.local, store=str(_absolute(folder))))
    else:
        raise InputError(f"there is no cloud '{cloud}'", f"clouds: {', '.join(wiring.CLOUDS)}")
    if not yes:
        _confirm(cloud, changed)
    report = render.QuietReporter() if as_json else render.TerminalReporter()
    done = []
    for step, detail in wiring.initialise(changed, cloud, member or ()):
        done.append({"step": step, "detail": detail})
        report.done(step, detail)
    save(changed)
    report.done("config", str(changed.file))
    if as_json:
        render.print_json({"cloud": cloud, "config": str(changed.file), "steps": done})


def _aws(
    config: Config, store: str | None, region: list[str] | None, profile: str | None
) -> Config:
    from dstack_cloud import wiring
    from dstack_cloud.config import AwsConfig

    section = config.aws or AwsConfig()
    store = store or section.store
    if store is None:
        raise InputError("no store is named", "add --store s3://NAME")
    if not store.startswith("s3://"):
        raise InputError(f"'{store}' is not an AWS store", "write --store s3://NAME")
    section = replace(
        section,
        store=store.rstrip("/"),
        regions=tuple(region or section.regions),
        profile=profile or section.profile,
    )
    changed = replace(config, aws=section)
    return replace(config, aws=replace(section, regions=tuple(wiring.regions(changed, "aws"))))


def _gcp(
    config: Config, store: str | None, region: list[str] | None, project: str | None
) -> Config:
    from dstack_cloud import wiring
    from dstack_cloud.config import GcpConfig

    section = config.gcp or GcpConfig()
    store = store or section.store
    if store is None:
        raise InputError("no store is named", "add --store gs://NAME")
    if not store.startswith("gs://"):
        raise InputError(f"'{store}' is not a Google Cloud store", "write --store gs://NAME")
    section = replace(
        section,
        store=store.rstrip("/"),
        regions=tuple(region or section.regions),
        project=project or section.project,
    )
    changed = replace(config, gcp=section)
    return replace(config, gcp=replace(section, regions=tuple(wiring.regions(changed, "gcp"))))


def _absolute(folder: str) -> str:
    from pathlib import Path

    if "://" in folder:
        raise InputError(f"'{folder}' is not a folder", "the local cloud's store is a path")
    return str(Path(folder).expanduser().absolute())


def _confirm(cloud: str, changed: Config) -> None:
    import sys

    if not sys.stdin.isatty():
        raise InputError("there is no terminal to ask on, so nothing was made", "add -y to go on")
    made = f"the store {changed.stores[cloud]}"
    if cloud == "aws" and changed.aws is not None:
        regions = ", ".join(changed.aws.regions)
        made += f", the machines' role and a security group in {regions}"
    if cloud == "gcp":
        made += ", three custom roles, the machines' service account and a firewall rule"
    render.say(f"This makes, where absent, {made}, and writes {changed.file}.")
    if render.ask("Go on? [Y/n]") not in ("", "y", "yes"):
        raise InputError("nothing was made", "run it again when you know")
