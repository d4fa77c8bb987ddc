"""What a run depends on may lie elsewhere: what that costs decides where it runs."""

from __future__ import annotations

import itertools
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dstack_cloud import wiring
from dstack_cloud.cli.dependencies import egress_lines, found_on
from dstack_cloud.errors import (
    CredentialsError,
    DstackError,
    NoCapacityError,
    NoOfferError,
    NotFoundError,
    QuotaError,
    on_all_clouds,
)
from dstack_cloud.lifecycle.bring_over import bring_over
from dstack_cloud.lifecycle.dependencies import Dependency, Located
from dstack_cloud.lifecycle.report import Silent
from dstack_cloud.match import Plan, match, with_egress
from dstack_cloud.resources import Offer, ResourceRequest, ZonePrice
from dstack_cloud.state import copies, runs
from dstack_cloud.state.artifacts import list_artifacts
from dstack_cloud.state.runs import RunState
from dstack_cloud.storage.local import LocalStore
from dstack_cloud.transfer import Load, Place, bringing, bringing_at_most
from dstack_cloud.units import GIB, utc_now
from dstack_cloud.workflow.load import load_workflows

D = Decimal
AWS, GCP = Place("aws", "us-east-1"), Place("gcp", "us-central1")
STORES = {"aws": AWS, "gcp": GCP}


def test_what_lies_in_the_own_store_costs_by_the_machine_s_region() -> None:
    load = [Load(AWS, 10 * GIB), Load(AWS, 5 * GIB)]
    assert bringing(load, AWS, AWS) == 0
    assert bringing(load, AWS, Place("aws", "us-east-2")) == D("0.15")
    assert bringing(load, AWS, Place("aws", "eu-west-1")) == D("0.3")


def test_what_lies_in_another_cloud_s_store_comes_by_way_of_the_own_one() -> None:
    load = [Load(AWS, 10 * GIB)]
    assert bringing(load, GCP, GCP) == D("0.9")
    # And from there to another region.
    assert bringing(load, GCP, Place("gcp", "us-west1")) == D("1.1")
    assert bringing(load, GCP, Place("gcp", "asia-east1")) is None
    assert bringing_at_most(load, GCP, Place("gcp", "asia-east1")) == D("0.9") + D("1.9")


def offer(cloud: str, region: str, price: str, spot: bool = True) -> Offer:
    zones = (ZonePrice(f"{region}-a", D(price)), ZonePrice(f"{region}-b", D(price) * 2))
    return Offer(cloud, region, f"m{price}", 2, GIB, None, spot, D(price), D(9), zones)


REQUEST = ResourceRequest(cpu=2, interruptible=None, clouds=("aws", "gcp"))


def plan_of(*offers: Offer) -> Plan:
    return Plan(REQUEST, offers, match(REQUEST, []).wanted, (), known=(len(offers), ()))


NEAR, FAR = offer("gcp", "us-central1", "0.2"), offer("gcp", "us-west1", "0.19")
OTHER, LISTED = offer("aws", "us-east-1", "0.6"), offer("aws", "us-east-1", "0.5", spot=False)
ABOARD = offer("gcp", "us-central1", "0.45", spot=False)


def ranked(size: int, hours: str = "1") -> list[tuple[str, str]]:
    loads = {cloud: [Load(AWS, size)] for cloud in STORES}
    plan = plan_of(FAR, NEAR, OTHER, ABOARD, LISTED)
    found = with_egress(plan, loads, STORES, D(hours))
    return [(one.cloud, one.region) for one in found.offers]


def test_where_much_is_needed_the_run_goes_to_where_that_lies() -> None:
    far, near, other = ("gcp", "us-west1"), ("gcp", "us-central1"), ("aws", "us-east-1")
    # Spot before on demand, whatever it costs to come there.
    assert ranked(0) == [far, near, other, near, other]
    # A gigabyte is 0.09 more on Google Cloud, 0.02 of it again for the other region.
    assert ranked(GIB) == [near, far, other, other, near]
    assert ranked(10 * GIB) == [other, near, far, other, near]
    # Spread over a day of work it is little.
    assert ranked(10 * GIB, "24") == [far, near, other, near, other]


def test_each_offer_tells_what_it_costs_to_come_there() -> None:
    loads = {"aws": [Load(AWS, GIB)], "gcp": [Load(AWS, GIB)]}
    tokyo = offer("gcp", "asia-northeast1", "0.12")
    found = with_egress(plan_of(tokyo, NEAR, OTHER), loads, STORES, D(2))
    told = {one.region: one.egress for one in found.offers}
    assert told == {"us-central1": D("0.09"), "us-east-1": D(0), "asia-northeast1": None}
    near = next(one for one in found.offers if one.region == "us-central1")
    assert [zone.expected for zone in near.zones] == [D("0.245"), D("0.445")]
    needed = {cloud: [Located(DEPENDENCY, "aws", GIB)] for cloud in STORES}
    lines = egress_lines(found, needed, 3, 7200)
    assert lines == [
        "gcp us-central1: 0.0900 $ egress for 1 GB of dependencies in the store of aws, once: "
        "0.045 $/h over 2 h 00 m of work",
        "gcp asia-northeast1: egress of unknown price for 1 GB of dependencies in the store of "
        "aws, ranked as the dearest",
    ]


DEPENDENCY = Dependency("prepare", "prepare-1", ("data",))
FILE = """
workflows:
  - {name: prepare, provider: bash, commands: [a], artifacts: [data]}
  - {name: train, provider: bash, commands: [a], deps: [prepare]}
"""


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, LocalStore]:
    made = {cloud: LocalStore(tmp_path / cloud) for cloud in STORES}
    monkeypatch.setattr(wiring, "open_store_of", lambda _config, cloud: made[cloud])
    monkeypatch.setattr(wiring, "regions", lambda _config, cloud: [STORES[cloud].region])
    return made


def prepared(store: LocalStore, **files: str) -> None:
    record = {
        "workflow": "prepare",
        "artifacts": [{"path": "data"}],
        "container": {"working_dir": "/workflow"},
    }
    run = runs.submit(store, "prepare", lambda _: record)
    for name, text in files.items():
        store.put(f"artifacts/{run}/data/{name}", text.encode())
    runs.settle(store, run, RunState.DONE)


def looked_for(tmp_path: Path, *clouds: str) -> dict[str, tuple[Located, ...]]:
    (tmp_path / ".dstack").mkdir(exist_ok=True)
    (tmp_path / ".dstack/workflows.yaml").write_text(FILE)
    config: Any = None
    return found_on(config, clouds, load_workflows(tmp_path), "train", None)


def test_each_cloud_s_own_store_else_the_other_one_s(
    stores: dict[str, LocalStore], tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match="no run of 'prepare'"):
        looked_for(tmp_path, "aws", "gcp")
    prepared(stores["aws"], a="four")
    far = Located(DEPENDENCY, "aws", 4)
    assert looked_for(tmp_path, "gcp", "aws") == {"gcp": (far,), "aws": (far,)}
    # Only where that cloud may be asked.
    with pytest.raises(NotFoundError):
        looked_for(tmp_path, "gcp")
    prepared(stores["gcp"], a="another")
    found = looked_for(tmp_path, "aws", "gcp")
    assert found["gcp"] == (Located(DEPENDENCY, "gcp", 7),)
    assert found["aws"] == (far,)


def test_it_is_carried_over_once(stores: dict[str, LocalStore]) -> None:
    prepared(stores["aws"], a="four", b="fifth")
    stores["aws"].put("artifacts/prepare-1/else", b"not wanted")
    tools: Any = SimpleNamespace(
        cloud=SimpleNamespace(name="gcp"), store=stores["gcp"], report=Silent()
    )
    needed = [Located(DEPENDENCY, "aws", 9)]
    counted: list[str] = []

    def store_of(cloud: str) -> LocalStore:
        counted.append(cloud)
        return stores[cloud]

    (there,), cost = bring_over(tools, needed, store_of, STORES.__getitem__)
    assert there == replace(DEPENDENCY, source="aws:prepare-1")
    assert cost == D("0.09") * 9 / GIB
    brought = list(list_artifacts(stores["gcp"], there.source))
    assert [(one.path, one.size) for one in brought] == [("data/a", 4), ("data/b", 5)]
    again = bring_over(tools, needed, store_of, STORES.__getitem__)
    assert again == ((there,), 0)
    # What has changed since (a tag made anew, say) comes again, and nothing else.
    stores["aws"].put("artifacts/prepare-1/data/a", b"more")
    _, cost = bring_over(tools, needed, store_of, STORES.__getitem__)
    assert cost == D("0.09") * 4 / GIB
    # What is in the own store stays there.
    own = [Located(DEPENDENCY, "gcp", 9)]
    assert bring_over(tools, own, store_of, STORES.__getitem__) == ((DEPENDENCY,), 0)


def test_copies_that_nobody_wants_any_more_go(stores: dict[str, LocalStore]) -> None:
    prepared(stores["aws"], a="four")
    here = stores["gcp"]
    here.put("artifacts/aws:other-1/x", b"1")
    files = list(list_artifacts(stores["aws"], "prepare-1"))
    copies.carry_over(stores["aws"], here, "aws", "prepare-1", files, lambda _: None)
    assert copies.forget_old(here, utc_now()) == 0
    deps = [{"name": "prepare", "source": "aws:prepare-1", "paths": ["data"]}]
    live = runs.submit(here, "train", lambda _: {"workflow": "train", "deps": deps})
    assert copies.forget_old(here, utc_now() + copies.KEPT * 2) == 0
    runs.settle(here, live, RunState.DONE)
    assert copies.forget_old(here, utc_now() + copies.KEPT * 2) == 1
    left = [item.key for item in here.list("artifacts/")] + list(here.list("copies/"))
    assert left == ["artifacts/aws:other-1/x"]


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ((NoCapacityError, NoCapacityError), NoCapacityError),
        ((QuotaError, NoCapacityError), NoCapacityError),
        ((QuotaError, QuotaError), QuotaError),
        ((NoOfferError, NoOfferError), NoOfferError),
        ((NoOfferError, CredentialsError), CredentialsError),
    ],
)
def test_what_went_wrong_is_told_of_every_cloud(
    kinds: tuple[type[DstackError], ...], expected: type[DstackError]
) -> None:
    numbers = itertools.count()
    errors = [
        (cloud, kind(f"words {next(numbers)}\n  row", f"hint of {cloud}"))
        for cloud, kind in zip(("aws", "gcp"), kinds, strict=True)
    ]
    found = on_all_clouds("no cloud had a machine", errors)
    assert type(found) is expected
    assert found.message == (
        "no cloud had a machine:\n  aws: words 0\n    row\n  gcp: words 1\n    row"
    )
    assert found.hint == "hint of aws\nhint of gcp"
    assert on_all_clouds("no", errors[:1]) is errors[0][1]
