"""Which offers may be asked for together: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from dstack_cloud.catalog.attached_gpus import google_type, with_gpus
from dstack_cloud.clouds.gcp.images import Recipe, recipe
from dstack_cloud.clouds.gcp.names import last
from dstack_cloud.errors import InternalError
from dstack_cloud.ranking import MARGIN
from dstack_cloud.resources import Gpu, Offer

# GPUs that are attached to a machine of n1, by the catalog's name for them
# (docs.cloud.google.com/compute/docs/gpus: "NVIDIA T4, P4, V100, P100: N1 machine types").
ATTACHED = {
    "T4": "nvidia-tesla-t4",
    "V100": "nvidia-tesla-v100",
    "P100": "nvidia-tesla-p100",
    "P4": "nvidia-tesla-p4",
}
# Series that boot from Hyperdisk only
# (docs.cloud.google.com/compute/docs/disks/hyperdisks: "Machine series support").
_HYPERDISK_ONLY = (
    "c4",
    "c4a",
    "c4d",
    "n4",
    "n4a",
    "n4d",
    "h4d",
    "x4",
    "m4",
    "z3",
    "a4",
    "a4x",
    "g4",
)
_HYPERDISK_ONLY_TYPES = ("a3-ultragpu-8g",)
PERSISTENT, HYPERDISK = "pd-balanced", "hyperdisk-balanced"


@dataclass(frozen=True)
class Group:
    """Offers that one request can ask for, best first: one image, one market, one kind of disk.

    With ``attached`` GPUs it is one machine type, for no flexibility policy takes
    ``guestAccelerators``. So it is for the nodes of a run.
    """

    recipe: Recipe
    spot: bool
    disk: str
    attached: Gpu | None
    offers: tuple[Offer, ...]

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones of any of its offers, in their order."""
        return tuple(dict.fromkeys(zone.zone for offer in self.offers for zone in offer.zones))

    def offer_of(self, machine: str) -> Offer:
        """The offer whose machine type was launched."""
        for offer in self.offers:
            if offer.machine == machine:
                return offer
        raise InternalError(f"a {machine} was launched that was not asked for")


def group(offers: Sequence[Offer], image: str | None = None, nodes: int = 1) -> list[Group]:
    """Cut ranked offers into groups, in the order in which to ask for them.

    A group ends where the image, the market or the kind of disk changes, at GPUs that are attached,
    at another machine type where several ``nodes`` are wanted, which are all alike, and for spot,
    where it is Google that picks and not we, where the cost leaves the margin of the group's first.
    A later offer that fits an earlier group on other grounds does not join it: that
    would put it before better ones. Machines for ARM are left out: the images are not for them.
    """
    groups: list[Group] = []
    for offer in offers:
        if offer.architecture != "x86_64":
            continue
        attached = attached_gpu(offer)
        alone = Group(
            recipe(offer, image), offer.spot, disk_type(offer.machine), attached, (offer,)
        )
        last = groups[-1] if groups else None
        mixed = attached is None and nodes == 1
        if last and _alike(last, alone) and (mixed or _same_type(last, offer)):
            offers_of = (*last.offers, offer)
            groups[-1] = Group(last.recipe, last.spot, last.disk, last.attached, offers_of)
        else:
            groups.append(alone)
    return groups


def attached_gpu(offer: Offer) -> Gpu | None:
    """The GPUs that must be attached to the offer's machine; None where they belong to its type."""
    if offer.gpu is None or google_type(offer.machine) == offer.machine:
        return None
    if offer.gpu.name not in ATTACHED:
        raise InternalError(f"a {offer.gpu.name} cannot be attached to {offer.machine}")
    return offer.gpu


def catalog_type(machine: str, accelerators: Sequence[Mapping[str, Any]]) -> str:
    """The catalog's name of one of Google's machine types with these ``guestAccelerators``."""
    if machine.startswith("n1-"):
        for one in accelerators:
            kind = last(str(one.get("acceleratorType", "")))
            for name, google in ATTACHED.items():
                if kind == google:
                    return with_gpus(machine, int(one.get("acceleratorCount", 1)), name)
    return machine


def disk_type(machine: str) -> str:
    """The kind of disk that a machine type boots from."""
    machine = google_type(machine)
    series = machine.split("-", 1)[0]
    hyperdisk = series in _HYPERDISK_ONLY or machine in _HYPERDISK_ONLY_TYPES
    return HYPERDISK if hyperdisk else PERSISTENT


def _alike(one: Group, other: Group) -> bool:
    same = (one.recipe, one.spot, one.disk, one.attached) == (
        other.recipe,
        other.spot,
        other.disk,
        other.attached,
    )
    return same and _near(one.offers[0], other.offers[0])


def _same_type(group: Group, offer: Offer) -> bool:
    return group.offers[0].machine == offer.machine


def _near(best: Offer, offer: Offer) -> bool:
    first, cost = _cost(best), _cost(offer)
    if not offer.spot or (first is None and cost is None):
        return True
    if first is None or cost is None:
        return False
    return cost <= first * (1 + MARGIN)


def _cost(offer: Offer) -> Decimal | None:
    """What ranks the offer: its best zone's cost."""
    return offer.zones[0].cost if offer.zones else offer.price
