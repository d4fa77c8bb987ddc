"""How instances end: what is left of them then, and on the bill."""

from __future__ import annotations

import time
from typing import Any

import pytest
from support.emulated_gcp import GPU_IMAGE, HOME, ZONE, Gcp, Refused, bulk

INSTANCES = f"{HOME}/zones/{ZONE}/instances"


def start(gcp: Gcp, name: str, **more: Any) -> None:
    operation = gcp.done(gcp.launch(bulk(name, "g2-standard-4", **more)))
    assert "error" not in operation


def until(gcp: Gcp, name: str, status: str) -> None:
    """Once the instance has that status; ``""`` is gone."""
    deadline = time.monotonic() + 10
    seen = None
    while time.monotonic() < deadline:
        seen = {one["name"]: one["status"] for one in gcp.instances()}.get(name, "")
        if seen == status:
            return
        time.sleep(0.02)
    pytest.fail(f"{name} is {seen!r}, not {status!r}")


def stop_action(action: str) -> dict[str, Any]:
    return {"provisioningModel": "SPOT", "instanceTerminationAction": action}


@pytest.mark.parametrize("how", ["poweroff", "kill"])
def test_a_machine_that_goes_off_by_itself_keeps_its_disk(gcp: Gcp, how: str) -> None:
    start(gcp, "off-1")
    gcp.control("POST", f"machines/{ZONE}/off-1/{how}", {})
    until(gcp, "off-1", "TERMINATED")
    assert len(gcp.disks()) == 1
    gcp.done(gcp.call("DELETE", f"{INSTANCES}/off-1"))
    assert gcp.disks() == []


def test_a_disk_without_auto_delete_outlives_its_instance(gcp: Gcp) -> None:
    disk = {"boot": True, "initializeParams": {"sourceImage": GPU_IMAGE, "diskSizeGb": "60"}}
    start(gcp, "left-1", disks=[disk])
    path = f"{HOME}/zones/{ZONE}/disks/left-1"
    with pytest.raises(Refused, match="already being used"):
        gcp.call("DELETE", path)
    gcp.done(gcp.call("DELETE", f"{INSTANCES}/left-1"))
    [left] = gcp.call("GET", f"{HOME}/zones/{ZONE}/disks")["items"]
    assert (left["name"], left["sizeGb"], left.get("users")) == ("left-1", "60", None)
    gcp.done(gcp.call("DELETE", path))
    assert gcp.disks() == []


@pytest.mark.parametrize(("action", "status"), [("DELETE", ""), ("STOP", "TERMINATED")])
def test_a_preempted_machine_is_told_and_then_stopped_or_deleted(
    gcp: Gcp, action: str, status: str
) -> None:
    start(gcp, "spot-1", scheduling=stop_action(action))
    gcp.control("POST", f"machines/{ZONE}/spot-1/interrupt", {"notice_s": 0.1})
    until(gcp, "spot-1", status)
    [row] = [one for one in gcp.control("GET", "machines") if one["instance"] == f"{ZONE}/spot-1"][
        -1:
    ]
    assert row["notices"]["instance/preempted"] == "TRUE"
    operations = gcp.call("GET", f"{HOME}/zones/{ZONE}/operations")["items"]
    assert "compute.instances.preempted" in {one["operationType"] for one in operations}


def test_only_spot_is_preempted(gcp: Gcp) -> None:
    scheduling = {"provisioningModel": "STANDARD", "onHostMaintenance": "TERMINATE"}
    start(gcp, "kept-1", scheduling=scheduling)
    with pytest.raises(Exception, match="400"):
        gcp.control("POST", f"machines/{ZONE}/kept-1/interrupt", {})


def test_the_run_time_ends_by_the_emulators_clock(gcp: Gcp) -> None:
    limit = {"maxRunDuration": {"seconds": "3600"}}
    start(gcp, "long-1", scheduling={**stop_action("DELETE"), **limit})
    shown = gcp.call("GET", f"{INSTANCES}/long-1")
    assert "terminationTimestamp" in shown["resourceStatus"]["scheduling"]
    gcp.control("POST", "clock", {"advance_s": 3500})
    assert gcp.instances()[0]["status"] == "RUNNING"
    gcp.control("POST", "clock", {"advance_s": 101})
    rows = gcp.control("GET", "machines?until=none&wait=10")
    assert rows[-1]["state"] == "off"
    # The caller's token has expired with it.
    gcp.control("DELETE", "clock")
    until(gcp, "long-1", "")
    assert gcp.disks() == []
