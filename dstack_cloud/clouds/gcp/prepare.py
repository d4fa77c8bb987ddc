"""What a launch needs to know first, asked all at once: images, zones, the caller's address."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import Executor, Future
from dataclasses import dataclass

from dstack_cloud.clouds.address import caller_address
from dstack_cloud.clouds.gcp import baked, images, network
from dstack_cloud.clouds.gcp.errors import translated
from dstack_cloud.clouds.gcp.images import Image, Recipe
from dstack_cloud.clouds.gcp.names import last
from dstack_cloud.clouds.gcp.sessions import Sessions
from dstack_cloud.clouds.gcp.settings import Settings
from dstack_cloud.clouds.gcp.template import network_path
from dstack_cloud.machine_images import Base, any_baked, images_of

_GOOD_FOR_S = 300
WITHOUT_ADDRESS = (
    "name network tags of your own in gcp.network_tags: then no firewall rule is made and the "
    "address need not be known"
)


@dataclass(frozen=True)
class Prepared:
    """Answers that are on their way. Whatever went wrong is raised where it is needed."""

    region: str
    at: float
    recipes: frozenset[Recipe]
    found_images: Future[dict[Recipe, Image]]
    found_zones: Future[tuple[str, ...]]
    found_sources: Future[tuple[str, ...]] | None
    found_baked: Future[dict[Base, Image]] | None = None

    def serves(self, recipes: Iterable[Recipe]) -> bool:
        """Whether it is fresh, and about these images."""
        return time.monotonic() - self.at < _GOOD_FOR_S and self.recipes >= set(recipes)

    def images(self) -> dict[Recipe, Image]:
        """The image of each recipe: our own where there is one, else the stock one."""
        return images_of(self.recipes, self.found_images, self.found_baked)

    def uses_baked(self) -> bool:
        """Whether any of the images is our own."""
        return any_baked(self.recipes, self.found_baked)

    def zones(self) -> tuple[str, ...]:
        """All zones of the region."""
        return self.found_zones.result()

    def sources(self) -> tuple[str, ...]:
        """From where SSH is let in; nowhere where no rule is to be made."""
        return self.found_sources.result() if self.found_sources else ()


def prepare(
    sessions: Sessions, settings: Settings, pool: Executor, region: str, recipes: Iterable[Recipe]
) -> Prepared:
    """Ask for everything at once."""
    wanted = frozenset(recipes)
    sources = None
    if not settings.network_tags:
        sources = pool.submit(sources_of, sessions, settings, region)
    own = None
    if settings.baked and settings.image is None and wanted:
        own = pool.submit(baked.replacements, sessions)
    return Prepared(
        region,
        time.monotonic(),
        wanted,
        pool.submit(_images, sessions, wanted),
        pool.submit(read_zones, sessions, region),
        sources,
        own,
    )


def _images(sessions: Sessions, recipes: frozenset[Recipe]) -> dict[Recipe, Image]:
    if not recipes:
        return {}
    return images.find(sessions.client("Images"), recipes)


def read_zones(sessions: Sessions, region: str) -> tuple[str, ...]:
    """The names of a region's zones. InputError where there is no such region."""
    with translated("reading the zones", region):
        found = sessions.client("Regions").get(project=sessions.project(), region=region)
    return tuple(sorted(last(zone) for zone in found.zones))


def sources_of(sessions: Sessions, settings: Settings, region: str) -> tuple[str, ...]:
    """From where SSH is let in: the caller's address, or the network's own ranges.

    A machine is reached there through a jump host in its network or, without a public address,
    over a VPN.
    """
    if settings.public_ip and settings.jump_host is None:
        override = settings.environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE")
        return (f"{caller_address(override, WITHOUT_ADDRESS)}/32",)
    path = network_path(settings, sessions.project())
    return tuple(network.subnet_ranges(sessions, region, path))
