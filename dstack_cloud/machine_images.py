"""Machine images that were baked here: the seam between those who need them and each cloud."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Protocol

from dstack_cloud.clouds.base import Machine
from dstack_cloud.resources import Offer

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
