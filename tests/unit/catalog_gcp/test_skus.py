"""From SKUs to the price of a machine."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from dstack_cloud.catalog.skus_gcp import read
from dstack_cloud.catalog.specs_gcp import Bill

REGION = "us-central1"


def sku(
    description: str,
    price: str,
    group: str = "CPU",
    usage: str = "OnDemand",
    unit: str = "h",
    **more: Any,
) -> dict[str, Any]:
    units, nanos = divmod(int(Decimal(price) * 10**9), 10**9)
    rate = {"startUsageAmount": 0, "unitPrice": {"units": str(units), "nanos": nanos}}
    return {
        "description": description,
        "category": {"resourceGroup": group, "usageType": usage},
        "serviceRegions": [REGION],
        "pricingInfo": [{"pricingExpression": {"usageUnit": unit, "tieredRates": [rate]}}],
    } | more


def bill(series: str, cores: str, gibibytes: str, **more: Any) -> Bill:
    return Bill(series, Decimal(cores), Decimal(gibibytes), **more)


CORES = [
    sku("A2 Instance Core running in Americas", "0.031611"),
    sku("A2 Instance Ram running in Americas", "0.004237", "RAM", unit="GiBy.h"),
]
A100 = sku("Nvidia Tesla A100 GPU running in Americas", "2.933908", "GPU")
BIG = sku("Nvidia Tesla A100 80GB GPU running in Americas", "3.92808", "GPU")
DISK = sku("SSD backed Local Storage", "0.08", "LocalSSD", unit="GiBy.mo")


def test_published_prices_of_machines_with_their_gpus() -> None:
    prices = read([*CORES, A100, BIG, DISK])
    small = bill("a2", "12", "85", gpu="A100", gpus=1)
    assert prices.of(small, REGION, spot=False) == Decimal("3.673385")
    # cloud.google.com/compute/all-pricing said 5.06879789, with the disk that comes with it.
    ultra = bill("a2", "12", "170", gpu="A100 80GB", gpus=1, disks=1)
    assert prices.of(ultra, REGION, spot=False) == pytest.approx(
        Decimal("5.06879789"), abs=Decimal("1e-8")
    )


@pytest.mark.parametrize("missing", range(5))
def test_a_part_without_a_price_makes_the_whole_unknown(missing: int) -> None:
    parts = [*CORES, BIG, DISK]
    ultra = bill("a2", "12", "170", gpu="A100 80GB", gpus=1, disks=1)
    kept = [one for index, one in enumerate(parts) if index != missing]
    known = read(kept).of(ultra, REGION, spot=False)
    assert (known is None) == (missing < 4)
    assert read(kept).of(ultra, REGION, spot=True) is None
    assert read(kept).of(ultra, "us-east4", spot=False) is None


def test_only_the_plain_ways_to_buy_are_read() -> None:
    others = [
        sku("Commitment v1: A2 Cpu in Americas for 1 Year", "0.01", usage="Commit1Yr"),
        sku("Reserved A2 Instance Core in Americas", "0.01"),
        sku("A2 Instance Core attached to DWS Defined Duration VMs running in Americas", "9"),
        sku("A2 Sole Tenancy Instance Core running in Americas", "9"),
        sku("A2 Custom Instance Core running in Americas", "9"),
        sku("Nvidia Tesla A100 GPU attached to DWS VMs running in Americas", "9", "GPU"),
        sku("Nvidia Tesla A100 80GB GPU running in Americas", "9", "GPU"),
        sku("Custom Instance Core running in Americas", "9"),
    ]
    small = bill("a2", "12", "85", gpu="A100", gpus=1)
    assert read([*others, *CORES, A100]).of(small, REGION, spot=False) == Decimal("3.673385")


def test_spot_has_its_own_skus() -> None:
    found = read(
        [
            *CORES,
            A100,
            sku(
                "Spot Preemptible A2 Instance Core running in Americas",
                "0.01",
                "CPU",
                "Preemptible",
            ),
            sku("Preemptible A2 Instance Ram running in Americas", "0.001", "RAM", "Preemptible"),
            sku(
                "Nvidia Tesla A100 GPU attached to Spot Preemptible VMs running in Americas",
                "1",
                "GPU",
                "Preemptible",
            ),
        ]
    )
    small = bill("a2", "12", "85", gpu="A100", gpus=1)
    assert found.of(small, REGION, spot=True) == Decimal("1.205")
    assert found.of(small, REGION, spot=False) == Decimal("3.673385")


@pytest.mark.parametrize(
    ("description", "group", "part"),
    [
        ("N1 Predefined Instance Core running in Americas", "N1Standard", bill("n1", "1", "0")),
        ("N2D AMD Instance Core running in Tokyo", "CPU", bill("n2d", "1", "0")),
        ("T2A Arm Instance Core running in Iowa", "CPU", bill("t2a", "1", "0")),
        ("Compute optimized Core running in Americas", "CPU", bill("c2", "1", "0")),
        ("M3 Memory-optimized Instance Core running in Iowa", "CPU", bill("m3", "1", "0")),
        ("A3Plus Instance Core running in Iowa", "CPU", bill("a3plus", "1", "0")),
    ],
)
def test_words_of_series(description: str, group: str, part: Bill) -> None:
    ram = sku(description.replace("Core", "Ram"), "1", group, unit="GiBy.h")
    prices = read([sku(description, "0.5", group), ram])
    assert prices.of(part, REGION, spot=False) == Decimal("0.5")


def test_shared_cores_are_billed_by_their_share_or_whole() -> None:
    prices = read(
        [
            sku("E2 Instance Core running in Americas", "0.02181159"),
            sku("E2 Instance Ram running in Americas", "0.00292353", "RAM", unit="GiBy.h"),
            sku("Micro Instance with burstable CPU running in Americas", "0.0076", "F1Micro"),
        ]
    )
    micro = bill("e2", "0.25", "1")
    assert prices.of(micro, REGION, spot=False) == Decimal("0.0083764275")
    f1 = bill("f1", "1", "0.6", flat="f1-micro")
    assert prices.of(f1, REGION, spot=False) == Decimal("0.0076")


def test_what_is_not_a_price_is_not_known() -> None:
    core = "A2 Instance Core running in Americas"
    tiers = [
        {"startUsageAmount": 0, "unitPrice": {"units": "0", "nanos": 0}},
        {"startUsageAmount": 10, "unitPrice": {"units": "1", "nanos": 5 * 10**8}},
    ]
    one = bill("a2", "1", "0")
    ram = CORES[1]
    assert read([sku(core, "0"), ram]).of(one, REGION, spot=False) is None
    assert read([sku(core, "1", unit="mo"), ram]).of(one, REGION, spot=False) is None
    assert read([sku(core, "1", pricingInfo=[]), ram]).of(one, REGION, spot=False) is None
    free_first = [{"pricingExpression": {"usageUnit": "h", "tieredRates": tiers}}]
    found = read([sku(core, "1", pricingInfo=free_first), ram])
    assert found.of(one, REGION, spot=False) == Decimal("1.5")


def test_the_newest_series_bill_their_disks_by_skus_of_their_own() -> None:
    parts = [
        sku("C4 Instance Core running in Iowa", "0.03"),
        sku("C4 Instance Ram running in Iowa", "0.004", "RAM", unit="GiBy.h"),
        DISK,
    ]
    with_disk = bill("c4", "1", "1", disks=1)
    assert read(parts).of(with_disk, REGION, spot=False) is None
    own = sku("C4 Instance Local SSD running in Iowa", "0.0001", "LocalSSD", unit="GiBy.h")
    assert read([*parts, own]).of(with_disk, REGION, spot=False) == Decimal("0.0715")
