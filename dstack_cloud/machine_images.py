"""Machine images that were baked here: the seam between those who need them and each cloud."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

from dstack_cloud.clouds.base import Machine
from dstack_cloud.errors import DstackError
from dstack_cloud.resources import Offer

if TYPE_CHECKING:
    from concurrent.futures import Future

READY = "ready"


@dataclass(frozen=True)
class Base:
    """The stock image that a machine would boot otherwise, as the cloud finds it, and the branch of
    the NVIDIA driver that is installed on it (None: none, or the image has one)."""

    source: str
    driver: str | None = None


@dataclass(frozen=True)
class Contents:
    """What is in an image: versions, as the builder told them; ``nvidia`` is the driver's, None
    without one."""

    os: str = ""
    docker: str = ""
    rclone: str = ""
    python: str = ""
    nvidia: str | None = None

    @classmethod
    def read(cls, text: str) -> Contents:
        """From ``name=value`` lines; what is unknown is left out."""
        known = {item.name for item in fields(cls)}
        pairs = (line.partition("=") for line in text.splitlines())
        return cls(**{name: value for name, _, value in pairs if name in known and value})

    def pairs(self) -> dict[str, str]:
        """What is there, by name."""
        return {name: value for name, value in vars(self).items() if value}


@dataclass(frozen=True)
class Baked:
    """One image that was baked here.

    ``region`` is None where images belong to no region; ``state`` is `READY`, or the cloud's own
    word for what it is instead; ``size`` is the bytes that a disk needs at least; ``parts`` are
    further things that exist for it alone (snapshots); ``base`` is None where it does not tell.
    """

    cloud: str
    region: str | None
    id: str
    name: str
    state: str
    made_at: datetime
    size: int
    base: Base | None
    contents: Contents
    parts: tuple[str, ...] = ()


class MachineImages(Protocol):
    """The images of one account. Every method raises what the cloud refuses as errors of ours."""

    def base(self, offer: Offer) -> Base:
        """The stock image of an offer's machine."""
        ...

    def begin(self, machine: Machine, base: Base, contents: Contents, name: str) -> str:
        """Begin to make an image of a machine's disk; its id. It is not there yet. Its name ends in
        ``name``."""
        ...

    def find(self, region: str, image_id: str) -> Baked | None:
        """One image of ours as it is now; None where there is none of that id."""
        ...

    def listing(self, region: str) -> list[Baked]:
        """Our images that a region's machines may boot, newest first."""
        ...

    def delete(self, image: Baked) -> None:
        """Delete it and what exists for it alone. Harmless where it is gone already."""
        ...


def newest(images: Iterable[Baked]) -> dict[Base, Baked]:
    """By what they were made from, the latest images that can be booted: pure."""
    found: dict[Base, Baked] = {}
    for image in images:
        if image.base is None or image.state != READY:
            continue
        other = found.get(image.base)
        if other is None or other.made_at < image.made_at:
            found[image.base] = image
    return found


class HowToFind(Protocol):
    """A cloud's recipe of a stock image, as far as it is asked here."""

    @property
    def source(self) -> str:
        """The stock image, as the cloud finds it."""
        ...

    @property
    def driver(self) -> str | None:
        """The branch of NVIDIA's driver that is installed on it."""
        ...


How = TypeVar("How", bound=HowToFind)
Image = TypeVar("Image")


def base_of(how: HowToFind) -> Base:
    """What an image is baked from that takes the place of the recipe's."""
    return Base(how.source, how.driver)


def images_of(
    recipes: Iterable[How],
    stock: Future[dict[How, Image]],
    own: Future[dict[Base, Image]] | None,
) -> dict[How, Image]:
    """The image of each recipe; the stock ones are waited for only where one is needed."""
    wanted, baked = set(recipes), _known(own)
    found = {how: baked[base] for how in wanted if (base := base_of(how)) in baked}
    return found if found.keys() == wanted else {**stock.result(), **found}


def any_baked(recipes: Iterable[HowToFind], own: Future[dict[Base, Image]] | None) -> bool:
    """Whether one of the recipes has an image that was baked here."""
    baked = _known(own)
    return any(base_of(how) in baked for how in recipes)


def _known(own: Future[dict[Base, Image]] | None) -> dict[Base, Image]:
    """By base. A launch must not fail for want of them."""
    try:
        return own.result() if own else {}
    except DstackError:
        return {}
