"""The emulated Google's catalog, read by Google's own messages: they know every field there is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from google.cloud import compute_v1

from moto_fixtures.gcp.call import Call, GcpError
from moto_fixtures.gcp.catalog.answers import ROUTES
from moto_fixtures.gcp.catalog.quotas import QUOTAS

PROJECT = "/compute/v1/projects/demo"


def get(path: str, **query: str) -> Any:
    handlers = [answer for _, route, answer in ROUTES if re.fullmatch(route, path)]
    assert len(handlers) == 1, path
    return handlers[0](Call("GET", path, query, None, {}, None))


def pages(path: str, **query: str) -> list[Any]:
    found, token = [], ""
    while True:
        found.append(get(path, **query, **({"pageToken": token} if token else {})))
        token = found[-1].get("nextPageToken", "")
        if not token:
            return found


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/zones", compute_v1.ZoneList),
        ("/zones/us-central1-a", compute_v1.Zone),
        ("/regions", compute_v1.RegionList),
        ("/regions/us-central1", compute_v1.Region),
        ("/zones/us-central1-a/machineTypes", compute_v1.MachineTypeList),
        ("/zones/us-central1-a/machineTypes/a2-ultragpu-1g", compute_v1.MachineType),
        ("/aggregated/machineTypes", compute_v1.MachineTypeAggregatedList),
        ("/zones/us-central1-a/acceleratorTypes", compute_v1.AcceleratorTypeList),
        ("/zones/us-central1-a/acceleratorTypes/nvidia-l4", compute_v1.AcceleratorType),
        ("/aggregated/acceleratorTypes", compute_v1.AcceleratorTypeAggregatedList),
    ],
)
def test_answers_have_the_published_fields(path: str, message: Any) -> None:
    answer = get(PROJECT + path)
    # Unknown fields, and values of another kind, are refused.
    parsed = message.from_json(json.dumps(answer), ignore_unknown_fields=False)
    assert message.to_dict(parsed)


def test_pages_hold_everything_once() -> None:
    whole = get(f"{PROJECT}/zones/us-central1-a/machineTypes")["items"]
    parts = pages(f"{PROJECT}/zones/us-central1-a/machineTypes", maxResults="50")
    assert [item for page in parts for item in page["items"]] == whole
    listed: list[tuple[str, str]] = []
    for page in pages(f"{PROJECT}/aggregated/machineTypes", maxResults="300"):
        for scope, part in page["items"].items():
            assert part.get("warning", {}).get("code") == (
                None if part.get("machineTypes") else "NO_RESULTS_ON_PAGE"
            )
            listed += [(scope, item["name"]) for item in part.get("machineTypes", ())]
    assert len(listed) == len(set(listed)) > 1500
    assert {name for scope, name in listed if scope == "zones/us-central1-a"} == {
        item["name"] for item in whole
    }


@pytest.mark.parametrize(
    ("path", "query", "http"),
    [
        ("/zones/us-central1-z/machineTypes", {}, 404),
        ("/zones/us-east1-b/acceleratorTypes/nvidia-tesla-t4", {}, 404),
        ("/regions/us-nowhere1", {}, 404),
        ("/aggregated/machineTypes", {"maxResults": "501"}, 400),
        ("/aggregated/machineTypes", {"pageToken": "nonsense"}, 400),
        ("/aggregated/machineTypes", {"filter": "guestCpus > 3"}, 400),
    ],
)
def test_what_is_not_there_is_refused(path: str, query: Mapping[str, str], http: int) -> None:
    with pytest.raises(GcpError) as refused:
        get(PROJECT + path, **query)
    assert refused.value.http == http


def test_skus_add_up_to_a_published_price() -> None:
    found = {
        sku["description"]: sku
        for page in pages("/v1/services/6F81-5844-456A/skus", pageSize="50")
        for sku in page["skus"]
    }

    def price(description: str) -> Decimal:
        (info,) = found[description]["pricingInfo"]
        (rate,) = info["pricingExpression"]["tieredRates"]
        return Decimal(rate["unitPrice"]["units"]) + Decimal(rate["unitPrice"]["nanos"]) / 10**9

    total = (
        12 * price("A2 Instance Core running in Americas")
        + 85 * price("A2 Instance Ram running in Americas")
        + price("Nvidia Tesla A100 GPU running in Americas")
    )
    # What Google's page has said of a2-highgpu-1g in Iowa.
    assert total == pytest.approx(Decimal("3.673385"), abs=Decimal("0.001"))
    spot = found["Nvidia Tesla A100 GPU attached to Spot Preemptible VMs running in Netherlands"]
    assert spot["category"]["usageType"] == "Preemptible"
    assert spot["serviceRegions"] == ["europe-west4"]


def test_quotas_can_be_set() -> None:
    def limit() -> float:
        quotas = get(f"{PROJECT}/regions/us-east1")["quotas"]
        return next(one["limit"] for one in quotas if one["metric"] == "NVIDIA_T4_GPUS")

    before = limit()
    try:
        QUOTAS.set("NVIDIA_T4_GPUS", 0, "us-*")
        assert (before, limit()) == (16, 0)
    finally:
        QUOTAS.reset()
    assert limit() == before
