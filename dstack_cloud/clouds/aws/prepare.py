"""What a launch needs to know first, asked all at once: images, subnets, groups, the address."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

from dstack_cloud.clouds.aws import baked, images, network
from dstack_cloud.clouds.aws.address import caller_address
from dstack_cloud.clouds.aws.images import Image, Recipe
from dstack_cloud.clouds.aws.network import Network, Subnet
from dstack_cloud.clouds.aws.sessions import Sessions
from dstack_cloud.clouds.aws.settings import Settings
from dstack_cloud.machine_images import Base, any_baked, images_of

_GOOD_FOR_S = 300


@dataclass(frozen=True)
class Prepared:
    """Answers that are on their way. Whatever went wrong is raised where it is needed."""

    region: str
    settings: Settings
    at: float
    recipes: frozenset[Recipe]
    found_images: Future[dict[Recipe, Image]]
    found_subnets: Future[tuple[Subnet, ...]]
    found_groups: Future[dict[str, tuple[str, ...]]]
    found_address: Future[str] | None
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

    def network(self) -> Network:
        """The subnets and groups."""
        return network.network(
            self.region,
            self.found_subnets.result(),
            self.found_groups.result(),
            self.settings.security_groups,
        )

    def ranges(self, ec2: Any, vpc: str) -> list[str]:
        """From where SSH is let in: the caller's address, or the VPC's own ranges.

        A machine is reached there through a jump host in its VPC or, without a public address,
        over a VPN whose packets arrive from the VPC's ranges (as AWS Client VPN's do).
        """
        if self.found_address is None:
            return network.vpc_ranges(ec2, self.region, vpc)
        return [f"{self.found_address.result()}/32"]


def prepare(
    sessions: Sessions, settings: Settings, pool: Executor, region: str, recipes: Iterable[Recipe]
) -> Prepared:
    """Ask for everything at once."""
    wanted = frozenset(recipes)
    address: Future[str] | None = None
    direct = settings.public_ip and settings.jump_host is None
    if direct and not settings.security_groups:
        address = pool.submit(caller_address, settings.environ)
    ec2 = sessions.ec2(region)
    own = None
    if settings.baked and settings.image is None and wanted:
        own = pool.submit(baked.replacements, ec2, region)
    return Prepared(
        region,
        settings,
        time.monotonic(),
        wanted,
        pool.submit(images.find, ec2, lambda: sessions.client("ssm", region), region, wanted),
        pool.submit(network.read_subnets, ec2, region, settings.subnets),
        pool.submit(network.read_groups, ec2, region, settings.security_groups),
        address,
        own,
    )
