"""Which offers are asked for together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dstack_cloud.clouds.gcp.groups import HYPERDISK, PERSISTENT, group
from dstack_cloud.errors import InternalError
from dstack_cloud.resources import Gpu, Offer
from dstack_cloud.units import GIB

T4 = Gpu("T4", 1, 16 * GIB)


def machines(offers: list[Offer], image: str | None = None) -> list[list[str]]:
    return [[offer.machine for offer in one.offers] for one in group(offers, image)]


def test_types_whose_gpus_are_built_in_are_asked_for_together(offer: Callable[..., Offer]) -> None:
    a100 = Gpu("A100", 1, 40 * GIB)
    offers = [offer(), offer("g2-standard-8", price="0.21"), offer("a2-highgpu-1g", gpu=a100)]
    [one] = group(offers)
    assert [each.machine for each in one.offers] == [each.machine for each in offers]
    assert one.attached is None


def test_several_nodes_are_of_one_type(offer: Callable[..., Offer]) -> None:
    offers = [offer(), offer(zones=("us-central1-c",)), offer("g2-standard-8", price="0.21")]
    found = [[each.machine for each in one.offers] for one in group(offers, nodes=2)]
    assert found == [["g2-standard-4", "g2-standard-4"], ["g2-standard-8"]]


def test_attached_gpus_are_asked_for_alone(offer: Callable[..., Offer]) -> None:
    offers = [offer("n1-standard-4+1xT4", gpu=T4), offer("n1-standard-8+1xT4", gpu=T4), offer()]
    found = group(offers)
    assert [[each.machine for each in one.offers] for one in found] == [
        ["n1-standard-4+1xT4"],
        ["n1-standard-8+1xT4"],
        ["g2-standard-4"],
    ]
    assert [one.attached for one in found] == [T4, T4, None]


def test_one_type_cut_by_zones_is_one_request(offer: Callable[..., Offer]) -> None:
    """As `ranked_last` cuts an offer of which some zones were short."""
    cut = [
        offer("n1-standard-4+1xT4", gpu=T4, zones=("us-central1-a",)),
        offer("n1-standard-4+1xT4", gpu=T4, zones=("us-central1-f",)),
    ]
    [one] = group(cut)
    assert one.zones == ("us-central1-a", "us-central1-f")


def test_a_group_ends_where_the_market_the_image_or_the_disk_changes(
    offer: Callable[..., Offer],
) -> None:
    offers = [
        offer("n2-standard-4", gpu=None, spot=False),
        offer("c3-standard-4", gpu=None, spot=False),
        offer("c4-standard-4", gpu=None, spot=False),
        offer("g2-standard-4", spot=False),
        offer("g2-standard-8", spot=True),
    ]
    assert machines(offers) == [
        ["n2-standard-4", "c3-standard-4"],
        ["c4-standard-4"],
        ["g2-standard-4"],
        ["g2-standard-8"],
    ]
    assert [one.disk for one in group(offers)] == [PERSISTENT, HYPERDISK, PERSISTENT, PERSISTENT]


def test_dear_spot_is_no_company_for_cheap_spot(offer: Callable[..., Offer]) -> None:
    spot = [offer(price="0.20"), offer("g2-standard-8", price="0.90")]
    assert len(group(spot)) == 2
    assert len(group([replace(one, spot=False) for one in spot])) == 1


def test_machines_for_arm_are_left_out(offer: Callable[..., Offer]) -> None:
    arm = offer("t2a-standard-4", gpu=None, architecture="arm64")
    assert machines([arm, offer("e2-standard-4", gpu=None)]) == [["e2-standard-4"]]


def test_a_gpu_that_nothing_attaches_is_a_bug(offer: Callable[..., Offer]) -> None:
    with pytest.raises(InternalError):
        group([offer("n1-standard-4+1xH100", gpu=Gpu("H100", 1, 80 * GIB))])
