"""What the plan says beside its table."""

from __future__ import annotations

import pickle
from dataclasses import replace
from decimal import Decimal

import pytest

from dstack_cloud.catalog.open import open_catalog
from dstack_cloud.cli.plan_table import plan_notes, start_notes
from dstack_cloud.config import AwsConfig, Config, LocalConfig
from dstack_cloud.errors import NoOfferError
from dstack_cloud.match import match
from dstack_cloud.resources import Gpu, GpuRequest, Offer, ResourceRequest
from dstack_cloud.units import GIB
from dstack_cloud.wiring import slow_to_start


def offer(machine: str, gpu: str | None = None) -> Offer:
    have = Gpu(gpu, 1, 12 * GIB) if gpu else None
    return Offer("aws", "us-east-1", machine, 4, GIB, have, False, Decimal(1), Decimal(1))


def test_machines_from_a_stock_image_are_said_to_start_slower() -> None:
    shown = [offer("p2.xlarge", "K80"), offer("g4dn.xlarge", "T4")]
    assert start_notes(shown, {"p2.xlarge"}) == [
        "p2.xlarge starts slower, from a stock image: Docker and the GPU's driver are installed "
        "at the first boot"
    ]
    assert start_notes([offer("t3.large"), offer("m5.large")], {"t3.large", "m5.large"}) == [
        "t3.large, m5.large start slower, from a stock image: Docker is installed at the first boot"
    ]
    assert start_notes(shown[1:], {"p2.xlarge"}) == []


def test_which_those_are(tmp_path) -> None:
    config = Config(tmp_path / "config.yaml", LocalConfig("/store"), aws=AwsConfig())
    shown = [offer("p2.xlarge", "K80"), offer("g4dn.xlarge", "T4"), offer("t3.large")]
    assert slow_to_start(config, shown) == {"p2.xlarge", "t3.large"}
    own = Config(config.file, config.local, aws=AwsConfig(image="ami-1"))
    assert slow_to_start(own, shown) == set()


def test_a_gpu_that_only_the_bundled_list_lacks(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    request = ResourceRequest(gpu=GpuRequest(name="K80"), interruptible=None)
    with pytest.raises(NoOfferError, match="offers a K80") as caught:
        match(request, [open_catalog("aws")]).launchable()
    hint = caught.value.hint or ""
    assert "nearest are" in hint
    assert "bundled list of March 2025" in hint
    assert "dstack-cloud catalog update" in hint


def test_a_plan_from_another_process_says_the_same(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    request = ResourceRequest(gpu=GpuRequest(name="T4"), memory=100 * GIB, interruptible=None)
    plan = match(
        request,
        [open_catalog("aws")],
        forbids=lambda machine, region, spot: "too much" if spot else None,
    )
    there = pickle.loads(pickle.dumps(plan.without_catalogs()))
    assert there.offers == plan.offers
    fewer = replace(there, offers=there.offers[:1])
    assert fewer.total == plan.total > 1
    assert fewer.rejections == plan.rejections != ()
    assert plan_notes(fewer, 1) == plan_notes(plan, 1)
