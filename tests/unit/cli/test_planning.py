"""One plan over several clouds."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from dstack_cloud import today
from dstack_cloud.cli import planning
from dstack_cloud.cli.plan_table import plan_notes
from dstack_cloud.config import AwsConfig, Config, GcpConfig, LocalConfig
from dstack_cloud.errors import CredentialsError, InputError, NoOfferError, QuotaError
from dstack_cloud.match import Plan, match, merged
from dstack_cloud.resources import Offer, ResourceRequest, ZonePrice

CONFIG = Config(
    file=Path("config.yaml"),
    local=LocalConfig(store="/nowhere"),
    aws=AwsConfig(store="s3://a", regions=("us-east-1",)),
    gcp=GcpConfig(store="gs://b", regions=("us-central1",), project="demo"),
)
BOTH = ResourceRequest(cpu=2, interruptible=True, clouds=("aws", "gcp"))


def offer(cloud: str, price: str, spot: bool = True, expected: str | None = None) -> Offer:
    zone = ZonePrice("z", Decimal(price), Decimal(expected) if expected else None)
    return Offer(cloud, "r", f"m{price}", 2, 2**30, None, spot, Decimal(price), Decimal(9), (zone,))


def plan_of(*offers: Offer) -> Plan:
    return Plan(BOTH, offers, match(BOTH, []).wanted, (), known=(len(offers), ()))


def test_spot_first_then_by_what_work_is_expected_to_cost() -> None:
    aws = plan_of(
        offer("aws", "1.0", expected="1.3"), offer("aws", "2"), offer("aws", "0.5", False)
    )
    gcp = plan_of(offer("gcp", "1.2"), offer("gcp", "0.4", False))
    found = merged([aws, gcp], ["gcp is half there"])
    assert [(one.cloud, str(one.price)) for one in found.offers] == [
        ("gcp", "1.2"),
        ("aws", "1.0"),
        ("aws", "2"),
        ("gcp", "0.4"),
        ("aws", "0.5"),
    ]
    assert found.total == 5
    assert plan_notes(found, 5)[0] == "gcp is half there"


@pytest.fixture
def asked(monkeypatch):
    """What the plan's clouds are asked for, instead of asking them."""
    found = {}

    def priced_plan(_config, wanted):
        found.update({cloud: request.regions for cloud, request in wanted.items()})
        return plan_of()

    monkeypatch.setattr(today, "priced_plan", priced_plan)
    return found


def test_each_cloud_gets_its_own_regions(asked) -> None:
    planning.make_plan(CONFIG, BOTH)
    assert asked == {"aws": ("us-east-1",), "gcp": ("us-central1",)}


@pytest.mark.parametrize(
    ("regions", "expected"),
    [
        (("us-west-2", "europe-west4"), {"aws": ("us-west-2",), "gcp": ("europe-west4",)}),
        (("europe-west4",), {"gcp": ("europe-west4",)}),
    ],
)
def test_a_region_that_is_named_is_its_clouds(asked, regions, expected) -> None:
    planning.make_plan(CONFIG, ResourceRequest(cpu=2, clouds=("aws", "gcp"), regions=regions))
    assert asked == expected


def test_a_region_that_no_cloud_has(asked) -> None:
    nowhere = ResourceRequest(cpu=2, clouds=("aws", "gcp"), regions=("us-east-1", "mars-north1"))
    with pytest.raises(InputError, match="neither aws nor gcp has a region 'mars-north1'"):
        planning.make_plan(CONFIG, nowhere)
    assert asked == {}


@pytest.mark.parametrize(
    ("aws", "gcp", "expected"),
    [
        (None, CredentialsError("expired"), ("gcp is left out: expired",)),
        (None, NoOfferError("nothing"), ()),
        (NoOfferError("nothing"), QuotaError("too low"), QuotaError),
        (NoOfferError("nothing"), NoOfferError("nothing"), NoOfferError),
    ],
)
def test_a_cloud_that_cannot_be_asked_is_named(monkeypatch, aws, gcp, expected) -> None:
    answers = {"aws": aws, "gcp": gcp}

    def on_one(_config, cloud, _request):
        if answers[cloud]:
            raise answers[cloud]
        return plan_of(offer(cloud, "1"))

    monkeypatch.setattr(today, "_on_one", on_one)
    wanted = {"aws": BOTH, "gcp": BOTH}
    if isinstance(expected, tuple):
        assert today._priced_plan(CONFIG, wanted).missing == expected
    else:
        with pytest.raises(expected):
            today._priced_plan(CONFIG, wanted)
