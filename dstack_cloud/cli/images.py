"""``images``: machine images of the user's own, from which machines start faster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dstack_cloud.cli import options, render
from dstack_cloud.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from dstack_cloud.config import Config
    from dstack_cloud.machine_images import Baked
    from dstack_cloud.resources import ResourceRequest

images = typer.Typer(
    help="Bake machine images from which machines start faster; runs take the newest by themselves."
)

# What stock images lack has room in it, and every machine's disk must be as large.
_DISK = "20GB"
_Image = Annotated[str, typer.Argument(help="The image's id, as 'images list' shows it.")]


@images.command()
def build(
    cloud: options.Cloud = None,
    region: options.Region = None,
    gpu: Annotated[
        str | None,
        typer.Option("--gpu", help="For machines with this GPU: T4, V100. Default: with none."),
    ] = None,
    disk: Annotated[
        str, typer.Option("--disk", help="The image's disk, and the least of its machines'.")
    ] = _DISK,
    as_json: options.Json = False,
) -> None:
    """Bake an image in a region (default: the first that is configured), from the stock image."""
    from dstack_cloud import config as configuration
    from dstack_cloud import images_of, wiring
    from dstack_cloud.cli.planning import make_plan
    from dstack_cloud.cli.requests import overridden
    from dstack_cloud.lifecycle.bake import bake
    from dstack_cloud.resources import ResourceRequest

    config = configuration.load()
    name = _one(wiring.chosen(config, cloud))
    places = wiring.regions(config, name, region)
    places = places if region else places[:1]
    request = overridden(ResourceRequest(), None, None, gpu, disk, False, None, [name], places)
    _require_named(gpu, request)
    report = render.QuietReporter() if as_json else render.TerminalReporter()
    stock = images_of.from_stock(config, name)
    tools = wiring.open_tools(stock, name, report)
    made = wiring.open_images(config, name)
    baked = []
    for place in places:
        plan = make_plan(config, _in(request, place))
        baked.append(bake(tools, made, plan.offers, request.disk or 0))
    if as_json:
        render.print_json({"images": [as_json_of(one, taken=True) for one in baked]})
        return
    for one in baked:
        where = one.region or "all regions"
        render.say(f"runs in {where} start from {one.id} from now on, where it fits")
        print(one.id)


@images.command("list")
def list_images(
    cloud: options.Cloud = None, region: options.Region = None, as_json: options.Json = False
) -> None:
    """List the images that were baked here: what is in them, and which the next runs take."""
    from dstack_cloud import config as configuration
    from dstack_cloud.cli.catalog import ago
    from dstack_cloud.machine_images import READY
    from dstack_cloud.units import format_size, format_time

    config = configuration.load()
    found = _found(config, cloud, region)
    taken = {one.id for one in _taken(found)}
    if as_json:
        render.print_json({"images": [as_json_of(one, one.id in taken) for one in found]})
        return
    if not found:
        render.say("no image was baked here yet: dstack-cloud images build")
        return
    render.print_table(
        ("cloud", "region", "image", "made", "size", "system", "docker", "rclone", "nvidia", ""),
        [
            (
                one.cloud,
                one.region or "",
                one.id,
                ago(format_time(one.made_at)),
                format_size(one.size),
                one.contents.os,
                one.contents.docker,
                one.contents.rclone,
                one.contents.nvidia or "none",
                one.state if one.state != READY else "" if one.id in taken else "superseded",
            )
            for one in found
        ],
        right="    r",
    )


@images.command()
def delete(
    image: _Image,
    yes: options.Yes = False,
    cloud: options.Cloud = None,
    region: options.Region = None,
    as_json: options.Json = False,
) -> None:
    """Delete an image and its snapshots. Runs then start from an older one, or the stock image."""
    from dstack_cloud import config as configuration
    from dstack_cloud import wiring
    from dstack_cloud.nearest import did_you_mean

    config = configuration.load()
    there = {one.id: one for one in _found(config, cloud, region)}
    found = there.get(image)
    if found is None:
        raise NotFoundError(
            f"there is no image '{image}' that was baked here{did_you_mean(image, there)}",
            "dstack-cloud images list shows them; --region names another region",
        )
    section = config.section(found.cloud)
    if section is not None and section.image and section.image.endswith(found.id):
        raise InputError(
            f"{image} is what {found.cloud}.image in {config.file} names: every run boots it",
            "take it out of the configuration first",
        )
    render.require_yes(f"Delete {image} ({found.contents.os})? Runs then start without it.", yes)
    wiring.open_images(config, found.cloud).delete(found)
    if as_json:
        render.print_json({"image": found.id, "cloud": found.cloud, "region": found.region})
    else:
        parts = len(found.parts)
        more = f" and {parts} snapshot{'' if parts == 1 else 's'}" if parts else ""
        render.say(f"✓ deleted      {found.id}{more}")


def as_json_of(image: Baked, taken: bool) -> dict[str, Any]:
    """One image in JSON; ``taken``: the next runs that its base fits boot it."""
    from dstack_cloud.units import format_time

    return {
        "cloud": image.cloud,
        "region": image.region,
        "image": image.id,
        "name": image.name,
        "state": image.state,
        "taken": taken,
        "made_at": format_time(image.made_at),
        "size": image.size,
        "base": image.base.source if image.base else None,
        "contents": {**vars(image.contents)},
        "snapshots": list(image.parts),
    }


def _found(config: Config, cloud: str | None, region: Sequence[str] | None) -> list[Baked]:
    """The images of every cloud and region that is meant, each once; newest first in each."""
    from dstack_cloud import images_of, wiring

    names = wiring.chosen(config, cloud) if cloud else wiring.configured(config)
    found: dict[tuple[str, str], Baked] = {}
    for name in names:
        if name not in images_of.CLOUDS:
            continue
        made = wiring.open_images(config, name)
        for place in wiring.regions(config, name, region):
            found |= {(name, one.id): one for one in made.listing(place)}
    return list(found.values())


def _taken(found: Sequence[Baked]) -> list[Baked]:
    """Those that the next runs boot: the newest of each base, in each region."""
    from dstack_cloud.machine_images import newest

    places = {(one.cloud, one.region) for one in found}
    return [
        one
        for place in places
        for one in newest(each for each in found if (each.cloud, each.region) == place).values()
    ]


def _one(clouds: Sequence[str]) -> str:
    """The one cloud that is meant. InputError where there are more, or it has no images."""
    from dstack_cloud import images_of

    able = [name for name in clouds if name in images_of.CLOUDS]
    if not able:
        raise InputError(
            "the local cloud has no machines of its own, so it needs no image",
            f"name another with --cloud: {', '.join(images_of.CLOUDS)}",
        )
    if len(able) > 1:
        raise InputError(
            f"an image is of one cloud: {' and '.join(able)} are configured", "name one: --cloud"
        )
    return able[0]


def _require_named(gpu: str | None, request: ResourceRequest) -> None:
    """InputError for a GPU that only memory or number tells: the driver depends on its kind."""
    if request.gpu is not None and request.gpu.name is None:
        raise InputError(
            f"--gpu {gpu}: which driver is right depends on the GPU", "name it: --gpu T4"
        )


def _in(request: ResourceRequest, region: str) -> ResourceRequest:
    from dataclasses import replace

    return replace(request, regions=(region,))
