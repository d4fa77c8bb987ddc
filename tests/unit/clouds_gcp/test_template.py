"""The body of bulkInsert, field by field; that it is one by Google's schema is told by the SDK's
own types, which refuse what they do not know."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dstack_cloud.clouds.base import LaunchRequest, MachineImage
from dstack_cloud.clouds.gcp.groups import group
from dstack_cloud.clouds.gcp.images import Image
from dstack_cloud.clouds.gcp.settings import Settings
from dstack_cloud.clouds.gcp.template import Blueprint
from dstack_cloud.errors import InternalError
from dstack_cloud.resources import Gpu, Offer
from dstack_cloud.units import GIB

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
IMAGE = Image(MachineImage("projects/p/global/images/i", ready=True), 40 * GIB)
ALL_ZONES = ("us-central1-a", "us-central1-b", "us-central1-c")


def body(request: LaunchRequest, notice: bool = True, **settings: Any) -> dict[str, Any]:
    blueprint = Blueprint(request, IMAGE, Settings(**settings), "proj", "us-central1", NOW)
    return blueprint.body(group(request.offers, nodes=request.nodes)[0], ALL_ZONES, notice)


def properties(request: LaunchRequest, **settings: Any) -> dict[str, Any]:
    found: dict[str, Any] = body(request, **settings)["instanceProperties"]
    return found


@pytest.fixture
def gpu(offer: Callable[..., Offer], request_for: Callable[..., LaunchRequest]) -> LaunchRequest:
    return request_for(offer(), offer("g2-standard-8", price="0.21"))


def test_it_is_one_by_googles_schema(gpu: LaunchRequest) -> None:
    compute = pytest.importorskip("google.cloud.compute_v1")
    text = json.dumps(body(gpu))
    found = compute.BulkInsertInstanceResource.from_json(text)
    assert found.instance_properties.scheduling.provisioning_model == "SPOT"


def test_one_machine_of_ranked_types_in_the_offers_zones_only(gpu: LaunchRequest) -> None:
    found = body(gpu)
    assert (found["count"], found["minCount"]) == ("1", "1")
    [name] = found["perInstanceProperties"]
    assert name.startswith("dstack-cloud-train-big-7-2-")
    selections = found["instanceFlexibilityPolicy"]["instanceSelections"]
    assert sorted((one["rank"], one["machineTypes"]) for one in selections.values()) == [
        ("1", ["g2-standard-4"]),
        ("2", ["g2-standard-8"]),
    ]
    assert "machineType" not in found["instanceProperties"]
    preferences = found["locationPolicy"]["locations"]
    assert {zone: one["preference"] for zone, one in preferences.items()} == {
        "zones/us-central1-a": "ALLOW",
        "zones/us-central1-b": "ALLOW",
        # A zone that is not denied is allowed.
        "zones/us-central1-c": "DENY",
    }


def test_the_nodes_of_a_run_are_alike_and_come_all_or_none_in_one_zone(gpu: LaunchRequest) -> None:
    found = body(replace(gpu, nodes=3))
    assert (found["count"], found["minCount"]) == ("3", "3")
    assert [name[-2:] for name in found["perInstanceProperties"]] == ["-0", "-1", "-2"]
    assert found["locationPolicy"]["targetShape"] == "ANY_SINGLE_ZONE"
    assert "instanceFlexibilityPolicy" not in found
    assert found["instanceProperties"]["machineType"] == "g2-standard-4"


def test_who_is_kept_near_others_stays_where_it_is(
    offer: Callable[..., Offer], request_for: Callable[..., LaunchRequest]
) -> None:
    request = replace(request_for(offer("n2-standard-8", gpu=None, spot=False)), nodes=2)
    plan = Blueprint(request, IMAGE, Settings(), "proj", "us-central1", NOW, policy="near")
    found = plan.body(group(request.offers, nodes=2)[0], ALL_ZONES, False)["instanceProperties"]
    assert found["resourcePolicies"] == ["near"]
    assert found["scheduling"]["onHostMaintenance"] == "TERMINATE"


def test_attached_gpus_have_a_type_and_no_policy(
    offer: Callable[..., Offer], request_for: Callable[..., LaunchRequest]
) -> None:
    asked = request_for(offer("n1-standard-8+2xT4", gpu=Gpu("T4", 2, 16 * GIB)))
    found = body(asked)
    assert "instanceFlexibilityPolicy" not in found
    assert found["instanceProperties"]["machineType"] == "n1-standard-8"
    assert found["instanceProperties"]["guestAccelerators"] == [
        {"acceleratorType": "nvidia-tesla-t4", "acceleratorCount": 2}
    ]


def test_spot(gpu: LaunchRequest) -> None:
    assert properties(gpu)["scheduling"] == {
        "provisioningModel": "SPOT",
        "automaticRestart": False,
        "onHostMaintenance": "TERMINATE",
        "instanceTerminationAction": "DELETE",
        "preemptionNoticeDuration": {"seconds": "120"},
    }
    without = body(gpu, notice=False)["instanceProperties"]["scheduling"]
    assert "preemptionNoticeDuration" not in without


def test_on_demand_may_move_unless_it_has_gpus(
    offer: Callable[..., Offer], request_for: Callable[..., LaunchRequest]
) -> None:
    plain = properties(request_for(offer("e2-standard-4", gpu=None, spot=False)))["scheduling"]
    assert plain == {
        "provisioningModel": "STANDARD",
        "automaticRestart": False,
        "onHostMaintenance": "MIGRATE",
    }
    with_gpu = properties(request_for(offer(spot=False)))["scheduling"]
    assert with_gpu["onHostMaintenance"] == "TERMINATE"


@pytest.mark.parametrize(
    ("left", "seconds"),
    [(timedelta(hours=7), 25200), (timedelta(seconds=-5), 30), (timedelta(days=999), 10368000)],
)
def test_a_deadline_deletes_the_machine(
    offer: Callable[..., Offer],
    request_for: Callable[..., LaunchRequest],
    left: timedelta,
    seconds: int,
) -> None:
    asked = request_for(offer(spot=False), deadline=NOW + left)
    scheduling = properties(asked)["scheduling"]
    assert scheduling["maxRunDuration"] == {"seconds": str(seconds)}
    assert scheduling["instanceTerminationAction"] == "DELETE"


def test_metadata_labels_disk_and_account(gpu: LaunchRequest) -> None:
    found = properties(gpu)
    items = {item["key"]: item["value"] for item in found["metadata"]["items"]}
    assert items["user-data"] == "#cloud-config\n"
    assert items["ssh-keys"] == "ubuntu:ssh-ed25519 AAAA ada@host"
    assert items["enable-oslogin"] == "FALSE"
    assert items["dstack-cloud-run"] == "Train_big-7"
    assert found["labels"]["dstack-cloud-attempt"] == "2"
    [disk] = found["disks"]
    assert disk["autoDelete"]
    assert disk["boot"]
    assert disk["initializeParams"]["diskSizeGb"] == "140"
    assert disk["initializeParams"]["labels"] == found["labels"]
    assert found["serviceAccounts"] == [
        {
            "email": "dstack-cloud-machine@proj.iam.gserviceaccount.com",
            "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
        }
    ]


def test_the_network_is_the_default_one_and_a_public_address(gpu: LaunchRequest) -> None:
    found = properties(gpu)
    [interface] = found["networkInterfaces"]
    assert interface["network"] == "projects/proj/global/networks/default"
    assert interface["accessConfigs"] == [{"name": "External NAT", "type": "ONE_TO_ONE_NAT"}]
    assert found["tags"] == {"items": ["dstack-cloud"]}


def test_or_the_configured_one(gpu: LaunchRequest) -> None:
    found = properties(
        gpu,
        network="host/shared",
        subnetwork="host/quiet",
        public_ip=False,
        network_tags=("ssh-from-office",),
        service_account="trainer@other.iam.gserviceaccount.com",
    )
    assert found["networkInterfaces"] == [
        {
            "network": "projects/host/global/networks/shared",
            "subnetwork": "projects/host/regions/us-central1/subnetworks/quiet",
        }
    ]
    assert found["tags"] == {"items": ["ssh-from-office"]}
    assert found["serviceAccounts"][0]["email"] == "trainer@other.iam.gserviceaccount.com"
    [alone] = properties(gpu, subnetwork="quiet")["networkInterfaces"]
    assert "network" not in alone


def test_user_data_has_a_limit(
    offer: Callable[..., Offer], request_for: Callable[..., LaunchRequest]
) -> None:
    with pytest.raises(InternalError):
        body(request_for(offer(), user_data=lambda image: b"x" * 300_000))
