"""Launches: where the machine comes from, what stands in its way, and how that is told."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import uuid4

import pytest
from google.cloud import compute_v1
from support.emulated_gcp import HOME, OWNER, PROJECT, REGION, ZONE, Gcp, Refused, bulk

STOCKOUT = "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"
N1 = {
    "machineType": "n1-standard-4",
    "guestAccelerators": [{"acceleratorType": "nvidia-tesla-t4", "acceleratorCount": 1}],
}


def exhausted(gcp: Gcp, **match: str) -> None:
    fault = {"action": "compute.*Insert", "match": match, "error": STOCKOUT, "times": None}
    gcp.control("POST", "faults", fault)


def codes(operation: dict[str, Any]) -> list[str]:
    return [one["code"] for one in operation.get("error", {}).get("errors", [])]


def test_the_real_client_launches_and_deletes(gcp: Gcp) -> None:
    options = {"api_endpoint": gcp.url}
    common = {"credentials": gcp.user(OWNER), "transport": "rest", "client_options": options}
    body = compute_v1.BulkInsertInstanceResource.from_json(
        json.dumps(bulk("real-1", "g2-standard-4", "a2-highgpu-1g"))
    )
    operation = compute_v1.RegionInstancesClient(**common).bulk_insert_unary(
        project=PROJECT, region=REGION, bulk_insert_instance_resource_resource=body
    )
    operation = compute_v1.RegionOperationsClient(**common).wait(
        project=PROJECT, region=REGION, operation=operation.name
    )
    assert operation.status == compute_v1.Operation.Status.DONE
    assert not operation.error.errors
    instances = compute_v1.InstancesClient(**common)
    [found] = [
        i for _, scope in instances.aggregated_list(project=PROJECT) for i in scope.instances
    ]
    assert found.machine_type.endswith("/g2-standard-4")
    assert found.status == "RUNNING"
    deleted = instances.delete_unary(project=PROJECT, zone=ZONE, instance="real-1")
    compute_v1.ZoneOperationsClient(**common).wait(
        project=PROJECT, zone=ZONE, operation=deleted.name
    )
    assert list(instances.list(project=PROJECT, zone=ZONE)) == []
    assert gcp.disks() == []


def test_the_next_rank_is_taken_where_a_type_is_exhausted(gcp: Gcp) -> None:
    exhausted(gcp, machine_type="g2-*")
    operation = gcp.done(gcp.launch(bulk("next-1", "g2-standard-4", "a2-highgpu-1g")))
    assert codes(operation) == []
    [found] = gcp.instances()
    assert found["machineType"].endswith("/a2-highgpu-1g")


def test_another_zone_is_taken_where_one_is_exhausted_and_each_place_says_how_it_went(
    gcp: Gcp,
) -> None:
    exhausted(gcp, zone=ZONE)
    operation = gcp.done(gcp.launch(bulk("zone-1", "g2-standard-4")))
    status = operation["instancesBulkInsertOperationMetadata"]["perLocationStatus"]
    assert status[f"zones/{ZONE}"]["failedToCreateVmCount"] == 1
    assert status["zones/us-central1-b"]["createdVmCount"] == 1
    assert gcp.instances()[0]["zone"].endswith("/us-central1-b")


def test_nothing_anywhere_is_told_for_each_place_and_leaves_nothing(gcp: Gcp) -> None:
    exhausted(gcp, region=REGION)
    operation = gcp.done(gcp.launch(bulk("none-1", "g2-standard-4")))
    assert codes(operation)[0] == "VM_MIN_COUNT_NOT_REACHED"
    assert set(codes(operation)[1:]) == {STOCKOUT}
    places = [
        detail["errorInfo"]["metadatas"]["zone"]
        for one in operation["error"]["errors"][1:]
        for detail in one["errorDetails"]
        if "errorInfo" in detail
    ]
    assert places == ["us-central1-a", "us-central1-b", "us-central1-c"]
    assert operation["httpErrorStatusCode"] == 503
    assert gcp.instances() == []
    assert gcp.disks() == []


def test_a_denied_zone_is_not_tried(gcp: Gcp) -> None:
    body = bulk("deny-1", "g2-standard-4")
    body["locationPolicy"] = {"locations": {f"zones/{ZONE}": {"preference": "DENY"}}}
    gcp.done(gcp.launch(body))
    assert gcp.instances()[0]["zone"].endswith("/us-central1-b")


def test_gpus_are_attached_to_an_n1_and_to_nothing_else(gcp: Gcp) -> None:
    gcp.done(gcp.launch(bulk("n1-1", **N1)))
    assert gcp.instances()[0]["guestAccelerators"][0]["acceleratorCount"] == 1
    with pytest.raises(Refused, match="does not take this accelerator"):
        gcp.launch(bulk("n2-1", **{**N1, "machineType": "n2-standard-4"}))
    with pytest.raises(Refused, match="instance flexibility policy"):
        gcp.launch(bulk("n1-2", "n1-standard-4", guestAccelerators=N1["guestAccelerators"]))


def test_a_call_that_is_repeated_launches_once(gcp: Gcp) -> None:
    request = str(uuid4())
    first = gcp.launch(bulk("once-1", "g2-standard-4"), request)
    again = gcp.launch(bulk("once-1", "g2-standard-4"), request)
    assert again["name"] == first["name"]
    assert again["clientOperationId"] == request
    gcp.done(first)
    assert len(gcp.instances()) == 1
    with pytest.raises(Refused, match="requestId"):
        gcp.launch(bulk("once-2", "g2-standard-4"), "not-a-uuid")


def test_quotas_of_a_region_and_of_all_regions(gcp: Gcp) -> None:
    gcp.control("POST", "quota", {"metric": "PREEMPTIBLE_NVIDIA_L4_GPUS", "value": 1})
    assert codes(gcp.done(gcp.launch(bulk("quota-1", "g2-standard-4")))) == []
    full = gcp.done(gcp.launch(bulk("quota-2", "g2-standard-4")))
    assert codes(full)[1:] == ["QUOTA_EXCEEDED"]
    assert "'PREEMPTIBLE_NVIDIA_L4_GPUS' exceeded.  Limit: 1.0 in region" in str(full["error"])
    gcp.control("POST", "quota", {"metric": "GPUS_ALL_REGIONS", "value": 0})
    none = gcp.done(gcp.launch(bulk("quota-3", "a2-highgpu-1g")))
    assert "'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally." in str(none["error"])


def test_an_operation_that_never_ends_leaves_an_instance_that_can_be_deleted(gcp: Gcp) -> None:
    fault = {"action": "compute.regionInstances.bulkInsert", "operation_s": 1e6}
    gcp.control("POST", "faults", fault)
    operation = gcp.launch(bulk("stuck-1", "g2-standard-4"))
    deadline = time.monotonic() + 10
    while not gcp.instances() and time.monotonic() < deadline:
        time.sleep(0.02)
    [found] = gcp.instances()
    assert found["status"] == "PROVISIONING"
    path = f"{HOME}/regions/{REGION}/operations/{operation['name']}"
    assert gcp.call("GET", path)["status"] == "RUNNING"
    gcp.done(gcp.call("DELETE", f"{HOME}/zones/{ZONE}/instances/stuck-1"))
    assert gcp.instances() == []
    assert gcp.disks() == []


def test_what_google_would_not_read_is_refused(gcp: Gcp) -> None:
    for change, words in (
        ({"shutdownBehaviour": "x"}, 'Unknown name "shutdownBehaviour"'),
        ({"labels": {"Upper": "x"}}, "labels"),
        ({"scheduling": {"provisioningModel": "CHEAP"}}, "provisioningModel"),
        ({"scheduling": {"provisioningModel": "STANDARD"}}, "live migration"),
        ({"networkInterfaces": []}, "networkInterfaces"),
    ):
        with pytest.raises(Refused, match=words) as caught:
            gcp.launch(bulk("bad-1", "g2-standard-4", **change))
        assert caught.value.code == 400
    with pytest.raises(Refused, match="Cannot bind query parameter"):
        gcp.call("GET", f"{HOME}/zones/{ZONE}/instances?colour=red")
    assert gcp.instances() == []


def test_an_organisation_and_a_rate_refuse_by_fault(gcp: Gcp) -> None:
    for error, code in (("ORG_POLICY", 412), ("rateLimitExceeded", 403), ("backendError", 503)):
        gcp.control("POST", "faults", {"action": "compute.*.bulkInsert", "error": error})
        with pytest.raises(Refused) as caught:
            gcp.launch(bulk("refused-1", "g2-standard-4"))
        assert caught.value.code == code
