"""What it costs to move data out of a place; nothing is made up where that is not known."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dstack_cloud.transfer import Place, at_most, cost, price
from dstack_cloud.units import GIB

D = Decimal


def place(text: str) -> Place | None:
    return None if text == "internet" else Place(*text.split(" "))


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("aws us-east-1", "aws us-east-1", "0"),
        ("aws us-east-1", "aws us-east-2", "0.01"),
        ("aws us-east-2", "aws us-east-1", "0.01"),
        ("aws us-east-1", "aws eu-west-1", "0.02"),
        ("aws sa-east-1", "aws us-east-1", "0.138"),
        ("aws us-east-1", "internet", "0.09"),
        ("aws us-east-1", "gcp us-east1", "0.09"),
        ("aws ap-northeast-1", "gcp us-east1", "0.114"),
        ("aws mars-1", "internet", None),
        ("aws mars-1", "aws us-east-1", None),
        ("gcp us-central1", "gcp us-central1", "0"),
        ("gcp us-central1", "gcp us-west1", "0.02"),
        ("gcp us-central1", "gcp northamerica-northeast1", "0.02"),
        ("gcp europe-west4", "gcp europe-north1", "0.02"),
        ("gcp us-central1", "gcp europe-west4", None),
        ("gcp asia-east1", "gcp asia-south1", None),
        ("gcp us-central1", "aws us-east-1", "0.12"),
        ("gcp us-central1", "internet", "0.12"),
        ("local local", "internet", "0"),
        ("elsewhere here", "internet", None),
    ],
)
def test_the_price_of_a_way(source: str, target: str, expected: str | None) -> None:
    found = place(source)
    assert found is not None
    assert price(found, place(target)) == (None if expected is None else D(expected))
    assert at_most(found, place(target)) >= D(expected or "0.12")


def test_the_cost_of_bytes() -> None:
    assert cost(3 * GIB, D("0.02")) == D("0.06")
    assert cost(GIB, None) is None
    assert cost(0, None) == 0
