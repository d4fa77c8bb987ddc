"""Launches that go as they should, and what is asked for them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support.gcp_server import PROJECT, Gcp

from dstack_cloud.clouds.base import PLACEMENT, LaunchRequest
from dstack_cloud.clouds.gcp import placement
from dstack_cloud.clouds.gcp.cloud import GcpCloud
from dstack_cloud.errors import TryAgainError
from dstack_cloud.resources import Gpu, Offer
from dstack_cloud.units import GIB, utc_now

Make = Callable[..., Any]
T4 = Gpu("T4", 1, 16 * GIB)


def launched(cloud: GcpCloud, request: LaunchRequest) -> Any:
    answer = cloud.launch(request)
    assert answer.machine is not None, answer.failures
    return answer.machine


def body_of_last_launch(gcp: Gcp) -> dict[str, Any]:
    call = gcp.calls("compute.regionInstances.bulkInsert")[-1]
    body: dict[str, Any] = call["parameters"]["body"]
    return body


def test_attached_gpus(gcp: Gcp, cloud: Make, offer: Make, request_for: Make) -> None:
    here = cloud()
    asked = request_for("attached", offer("n1-standard-4+1xT4", gpu=T4))
    machine = launched(here, asked)
    assert machine.machine == "n1-standard-4+1xT4"
    body = body_of_last_launch(gcp)
    assert "instanceFlexibilityPolicy" not in body
    assert body["instanceProperties"]["guestAccelerators"][0]["acceleratorCount"] == 1
    here.terminate(machine.region, [machine.id])


def test_only_the_offers_zones(gcp: Gcp, cloud: Make, offer: Make, request_for: Make) -> None:
    here = cloud()
    machine = launched(here, request_for("one-zone", offer(zones=("us-central1-b",))))
    assert machine.zone == "us-central1-b"
    here.terminate(machine.region, [machine.id])


def test_the_next_zone_has_one(gcp: Gcp, cloud: Make, offer: Make, request_for: Make) -> None:
    fault = {"action": "compute.regionInstances.bulkInsert", "times": None}
    short = {"error": "ZONE_RESOURCE_POOL_EXHAUSTED", "match": {"zone": "us-central1-a"}}
    gcp.control("POST", "faults", {**fault, **short})
    here = cloud()
    machine = launched(here, request_for("next-zone", offer()))
    assert machine.zone == "us-central1-b"
    here.terminate(machine.region, [machine.id])


def test_without_a_longer_notice_where_it_is_not_understood(
    gcp: Gcp, cloud: Make, offer: Make, request_for: Make
) -> None:
    fault = {
        "action": "compute.regionInstances.bulkInsert",
        "error": "invalid",
        "message": "Invalid value for field 'scheduling.preemptionNoticeDuration'",
        "http": 400,
    }
    gcp.control("POST", "faults", fault)
    here = cloud()
    machine = launched(here, request_for("short-notice", offer()))
    scheduling = body_of_last_launch(gcp)["instanceProperties"]["scheduling"]
    assert "preemptionNoticeDuration" not in scheduling
    here.terminate(machine.region, [machine.id])


def test_a_deadline_is_googles_to_keep(
    gcp: Gcp, cloud: Make, offer: Make, request_for: Make
) -> None:
    here = cloud()
    asked = request_for("deadline", offer(spot=False), deadline=utc_now() + timedelta(hours=2))
    machine = launched(here, asked)
    scheduling = body_of_last_launch(gcp)["instanceProperties"]["scheduling"]
    assert 7100 < int(scheduling["maxRunDuration"]["seconds"]) <= 7200
    assert scheduling["instanceTerminationAction"] == "DELETE"
    here.terminate(machine.region, [machine.id])


def test_one_that_only_stopped_is_told_as_such_and_removed_with_its_disk(
    gcp: Gcp, cloud: Make, offer: Make, request_for: Make
) -> None:
    here: GcpCloud = cloud()
    machine = launched(here, request_for("stopped", offer(spot=False)))
    name = machine.id.partition("/")[2]
    gcp.control("POST", f"machines/{name}/poweroff")
    gcp.control("GET", "machines?until=none&wait=20")
    now = here.machine(machine.region, machine.id)
    assert now is not None
    assert now.state == "stopped"
    [found] = [one for one in here.leftovers(machine.region) if one.run == "stopped"]
    here.remove(found)


def test_rules_are_left_only_where_no_machine_is(
    gcp: Gcp, cloud: Make, offer: Make, request_for: Make
) -> None:
    here: GcpCloud = cloud()
    machine = launched(here, request_for("rules", offer()))
    kinds = {one.kind for one in here.leftovers(machine.region)}
    assert kinds == {"machine"}
    here.terminate(machine.region, [machine.id])
    gcp.control("GET", "machines?until=none&wait=20")
    [rule] = here.leftovers(machine.region)
    assert (rule.kind, rule.region) == ("ssh-rule", "global")
    assert rule.detail == "dstack-cloud ada@host"
    here.remove(rule)
    here.remove(rule)
    assert here.leftovers(machine.region) == []


def test_the_nodes_of_a_run_come_together_and_may_reach_each_other(
    gcp: Gcp, cloud: Make, offer: Make, request_for: Make
) -> None:
    here: GcpCloud = cloud()
    asked = request_for("pair", offer(), offer("g2-standard-8"), nodes=2)
    machine = launched(here, asked)
    assert [one.id[-2:] for one in machine.nodes] == ["-0", "-1"]
    assert {one.zone for one in machine.nodes} == {machine.zone}
    assert {one.machine for one in machine.nodes} == {machine.machine}
    assert len({one.private_address for one in machine.nodes} - {None}) == 2
    [policy] = body_of_last_launch(gcp)["instanceProperties"]["resourcePolicies"]
    # Asked again, for an answer that never came: the same two.
    assert launched(here, asked).ids == machine.ids
    [near] = [one for one in here.leftovers(machine.region) if one.kind == PLACEMENT]
    assert (near.id, near.run, near.attempt) == (policy, "pair", 1)
    with pytest.raises(TryAgainError, match="machines are still under the placement policy"):
        placement.delete(here.sessions, machine.region, policy)
    found = here.sessions.call("compute", "GET", f"projects/{PROJECT}/global/firewalls")["items"]
    [rule] = [one for one in found if one["name"].startswith("dstack-cloud-nodes-")]
    assert rule["sourceTags"] == rule["targetTags"] == ["dstack-cloud"]
    assert rule["allowed"] == [{"IPProtocol": "all"}]
    assert "sourceRanges" not in rule
    [deny] = [one for one in found if one["name"].startswith("dstack-cloud-deny-")]
    assert rule["priority"] < deny["priority"]
    here.terminate(machine.region, machine.ids)
    gcp.control("GET", "machines?until=none&wait=20")
    left = here.leftovers(machine.region)
    assert sorted(one.kind for one in left) == ["nodes-rule", "placement", "ssh-rule"]
    for one in left:
        here.remove(one)
        here.remove(one)
    assert here.leftovers(machine.region) == []


def test_nodes_that_cannot_be_near_each_other_come_all_the_same(
    gcp: Gcp, cloud: Make, offer: Make, request_for: Make
) -> None:
    """Of a type that we know of, and of one that only Google does."""
    here: GcpCloud = cloud()
    before = len(gcp.calls("compute.resourcePolicies.insert"))
    t4 = offer("n1-standard-4+1xT4", gpu=T4)
    machine = launched(here, request_for("far", t4, nodes=2))
    assert len(gcp.calls("compute.resourcePolicies.insert")) == before
    here.terminate(machine.region, machine.ids)
    fault = {
        "action": "compute.regionInstances.bulkInsert",
        "error": "invalid",
        "message": "Placement policy is not applicable to machine type g2-standard-4.",
        "http": 400,
    }
    gcp.control("POST", "faults", fault)
    machine = launched(here, request_for("refused", offer(), nodes=2))
    assert len(machine.nodes) == 2
    properties = body_of_last_launch(gcp)["instanceProperties"]
    assert "resourcePolicies" not in properties
    here.terminate(machine.region, machine.ids)


def test_all_nodes_or_none(gcp: Gcp, cloud: Make, offer: Make, request_for: Make) -> None:
    gcp.control("POST", "quota", {"metric": "PREEMPTIBLE_NVIDIA_L4_GPUS", "value": 1})
    try:
        here = cloud()
        answer = here.launch(request_for("short", offer(), nodes=2))
    finally:
        gcp.control("DELETE", "quota")
    assert [one.id for one in here.leftovers("us-central1") if one.run == "short"] == []
    assert answer.machine is None
    assert [one.code for one in answer.failures] == ["QUOTA_EXCEEDED"]
    assert gcp.instances() == []


def test_with_network_tags_of_ones_own_no_rule_is_made(
    gcp: Gcp, cloud: Make, offer: Make, request_for: Make
) -> None:
    here: GcpCloud = cloud(network_tags=("mine",))
    since = len(gcp.calls("compute.firewalls.insert"))
    machine = launched(here, request_for("own-tags", offer(), nodes=2))
    assert len(gcp.calls("compute.firewalls.insert")) == since
    here.terminate(machine.region, machine.ids)


def test_quotas_forbid(gcp: Gcp, cloud: Make, offer: Make) -> None:
    t4, l4 = offer("n1-standard-4+1xT4", gpu=T4), offer()
    gcp.control("POST", "quota", {"metric": "PREEMPTIBLE_NVIDIA_T4_GPUS", "value": 0})
    try:
        found: dict[Offer, str] = cloud().forbidden([t4, l4])
    finally:
        gcp.control("DELETE", "quota")
    assert list(found) == [t4]
    assert "PREEMPTIBLE_NVIDIA_T4_GPUS" in found[t4]
