"""What an operation's errors mean, place by place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dstack_cloud.clouds.base import FailureKind, LaunchFailure, Scope
from dstack_cloud.clouds.gcp.codes import CODES, fails_at_once, meaning
from dstack_cloud.clouds.gcp.groups import group
from dstack_cloud.clouds.gcp.outcome import failures_of, made_in, problems_in, unanswered
from dstack_cloud.resources import Offer


def operation(*errors: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"status": "DONE", "error": {"errors": list(errors)}, **more}


def exhausted(zone: str, **facts: str) -> dict[str, Any]:
    info = {"reason": "resource_availability", "metadatas": {"zone": zone, **facts}}
    return {
        "code": "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
        "message": "The zone does not have enough resources available.",
        "errorDetails": [{"errorInfo": info}] if facts or zone else [],
    }


WRAPPER = {"code": "VM_MIN_COUNT_NOT_REACHED", "message": "Requested minimum count of 1 VMs."}


@pytest.fixture
def failures(offer: Callable[..., Offer]) -> Callable[..., tuple[LaunchFailure, ...]]:
    offers = [offer(), offer("g2-standard-8", price="0.21", zones=("us-central1-b",))]

    def read(*errors: dict[str, Any]) -> tuple[LaunchFailure, ...]:
        return failures_of(problems_in(operation(*errors)), group(offers)[0])

    return read


def told(failures: tuple[LaunchFailure, ...]) -> set[tuple[str, str | None]]:
    return {(one.offer.machine, one.zone) for one in failures}


def test_each_zone_for_the_offers_that_were_asked_for_there(failures: Any) -> None:
    found = failures(WRAPPER, exhausted("us-central1-a"), exhausted("us-central1-b"))
    assert told(found) == {
        ("g2-standard-4", "us-central1-a"),
        ("g2-standard-4", "us-central1-b"),
        ("g2-standard-8", "us-central1-b"),
    }
    assert {(one.kind, one.scope) for one in found} == {(FailureKind.CAPACITY, Scope.ZONE)}
    assert {one.code for one in found} == {"ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"}


def test_an_exhausted_zone_has_none_of_the_types(failures: Any) -> None:
    """The one that is named was only the last that was tried."""
    found = failures(exhausted("us-central1-b", vmType="g2-standard-8"))
    assert told(found) == {(kind, "us-central1-b") for kind in ("g2-standard-4", "g2-standard-8")}


def test_what_is_wrong_with_a_type_is_that_types_alone(failures: Any) -> None:
    wrong = {**exhausted("us-central1-b", vmType="g2-standard-8"), "code": "UNSUPPORTED_OPERATION"}
    [found] = failures(wrong)
    assert (found.offer.machine, found.scope) == ("g2-standard-8", Scope.OFFER)


def test_the_place_may_stand_in_location_or_message(failures: Any) -> None:
    by_location = {"code": "ZONE_RESOURCE_POOL_EXHAUSTED", "location": "zones/us-central1-a"}
    by_words = {
        "code": "ZONE_RESOURCE_POOL_EXHAUSTED",
        "message": "The zone 'projects/p/zones/us-central1-b' does not have enough resources.",
    }
    assert told(failures(by_location)) == {("g2-standard-4", "us-central1-a")}
    assert {zone for _, zone in told(failures(by_words))} == {"us-central1-b"}


def test_the_wrapper_alone_is_still_a_reason(failures: Any) -> None:
    [found] = failures(WRAPPER)
    assert (found.kind, found.code) == (FailureKind.CAPACITY, "VM_MIN_COUNT_NOT_REACHED")


def test_a_quota_is_the_regions(failures: Any) -> None:
    quota = {
        "code": "QUOTA_EXCEEDED",
        "message": "Quota 'NVIDIA_L4_GPUS' exceeded. Limit: 0.0 in region us-central1.",
        "errorDetails": [{"quotaInfo": {"metricName": "compute.googleapis.com/nvidia_l4_gpus"}}],
    }
    [found] = failures(WRAPPER, quota)
    assert (found.kind, found.scope) == (FailureKind.QUOTA, Scope.REGION)


@pytest.mark.parametrize("where", ["message", "metric"])
def test_a_quota_of_all_regions_rules_out_everything(failures: Any, where: str) -> None:
    quota: dict[str, Any] = {"code": "QUOTA_EXCEEDED", "message": "Quota exceeded."}
    if where == "message":
        quota["message"] = "Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally."
    else:
        name = "compute.googleapis.com/gpus_all_regions"
        quota["errorDetails"] = [{"quotaInfo": {"metricName": name}}]
    [found] = failures(quota)
    assert (found.kind, found.scope) == (FailureKind.QUOTA, Scope.EVERYTHING)


def test_an_operation_may_fail_by_its_status_alone(failures: Any) -> None:
    problems = problems_in({"httpErrorStatusCode": 503, "httpErrorMessage": "SERVICE UNAVAILABLE"})
    assert [(one.code, one.message) for one in problems] == [("503", "SERVICE UNAVAILABLE")]


def test_a_silent_end_is_no_capacity(offer: Callable[..., Offer]) -> None:
    [one] = unanswered(group([offer()])[0])
    assert one.kind is FailureKind.CAPACITY


def test_the_zone_of_the_machine_is_told_by_the_operation() -> None:
    status = {
        "zones/us-central1-a": {"failedToCreateVmCount": 1},
        "zones/us-central1-b": {"createdVmCount": 1, "deletedVmCount": 1},
        "zones/us-central1-c": {"createdVmCount": 1},
    }
    found = {"instancesBulkInsertOperationMetadata": {"perLocationStatus": status}}
    assert made_in(found) == {"us-central1-c": 1}
    assert made_in({"status": "DONE"}) == {}


def test_scopes_of_the_codes() -> None:
    assert meaning("ZONE_RESOURCE_POOL_EXHAUSTED").scope is Scope.ZONE
    assert meaning("QUOTA_EXCEEDED").scope is Scope.REGION
    for code in ("PERMISSION_DENIED", "SERVICE_DISABLED", "BILLING_DISABLED", "401"):
        assert meaning(code).scope is Scope.EVERYTHING
        assert fails_at_once(code)
    assert not fails_at_once("CONDITION_NOT_MET"), "another region may be allowed"
    assert not fails_at_once("SOMETHING_NEW")
    assert all(one.retry_after > 0 for one in CODES.values())


@pytest.mark.parametrize(
    ("code", "metric", "spot", "any_market"),
    [
        ("ZONE_RESOURCE_POOL_EXHAUSTED", "", True, False),
        ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "", False, False),
        # A preemptible quota is spot's own; the standard one may be all that spot has.
        ("QUOTA_EXCEEDED", "PREEMPTIBLE_NVIDIA_T4_GPUS", True, False),
        ("QUOTA_EXCEEDED", "NVIDIA_T4_GPUS", True, True),
        ("QUOTA_EXCEEDED", "NVIDIA_T4_GPUS", False, False),
        ("QUOTA_EXCEEDED", "IN_USE_ADDRESSES", False, True),
        ("QUOTA_EXCEEDED", "GPUS_ALL_REGIONS", False, True),
        ("QUOTA_EXCEEDED", "", True, False),
        ("IP_SPACE_EXHAUSTED", "", True, True),
        ("PERMISSION_DENIED", "", True, True),
        ("RATE_LIMIT_EXCEEDED", "", False, True),
    ],
)
def test_the_market_that_a_code_rules_out(
    code: str, metric: str, spot: bool, any_market: bool
) -> None:
    assert meaning(code, f"Quota '{metric}' exceeded.", "", spot).any_market is any_market
    told = f"compute.googleapis.com/{metric.lower()}"
    assert meaning(code, "", told, spot).any_market is any_market
