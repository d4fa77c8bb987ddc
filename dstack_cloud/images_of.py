"""The machine images of the user's own: which there are, and which machines boot them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dstack_cloud import wiring
from dstack_cloud.errors import DstackError, InputError

if TYPE_CHECKING:
    from dstack_cloud.config import Config
    from dstack_cloud.machine_images import Baked
    from dstack_cloud.resources import Offer

CLOUDS = ("aws", "gcp")
"""Those whose machines boot images that `images build` makes."""


def from_stock(config: Config, name: str) -> Config:
    """The same, but machines of a cloud boot the stock images, whatever there is besides."""
    section = config.section(name)
    if section is None:
        raise InputError(f"{name} is not configured", f"dstack-cloud init --cloud {name}")
    stock = replace(section, image=None, baked=False)
    return replace(config, **{name: stock})  # type: ignore[arg-type]


def baked_images(
    config: Config, clouds: Sequence[str], asked: Sequence[str] | None = None
) -> list[Baked]:
    """The images that machines boot in place of stock ones, of the regions that may be used; the
    SDKs are loaded apart. None where they cannot be read, or the configuration says not to."""
    found: list[Baked] = []
    for name in clouds:
        section = config.section(name)
        if name not in CLOUDS or section is None or section.image or not section.baked:
            continue
        with contextlib.suppress(DstackError):
            places = tuple(wiring.regions(config, name, asked))
            found += wiring.process_apart().call(_newest_in, config, name, places)
    return found


def _newest_in(config: Config, name: str, places: Sequence[str]) -> list[Baked]:
    """The newest of each base, in each of the regions."""
    from concurrent.futures import ThreadPoolExecutor

    from dstack_cloud.machine_images import newest

    images = wiring.open_images(config, name)
    with ThreadPoolExecutor(min(8, len(places))) as pool:
        return [one for found in pool.map(images.listing, places) for one in newest(found).values()]


def baked_for(config: Config, offer: Offer, baked: Sequence[Baked]) -> Baked | None:
    """The one among ``baked`` (see `baked_images`) that an offer's machine boots."""
    there = [
        image
        for image in baked
        if image.cloud == offer.cloud and image.region in (offer.region, None)
    ]
    base = wiring.open_images(config, offer.cloud).base(offer) if there else None
    return next((image for image in there if image.base == base), None)
