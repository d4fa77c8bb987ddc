"""Every call of every verb, by the emulator's log, against the roles of those who make them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.emulated import Project
from support.gcp_server import Gcp

from dstack_cloud.clouds.gcp import policies
from dstack_cloud.clouds.gcp.cloud import GcpCloud
from dstack_cloud.clouds.gcp.secrets import GcpSecrets

# Of other services than the project's roles are about, or granted to everybody.
_NOT_THE_PROJECTS = ("storage.", "iam.serviceAccounts.actAs")
# What a legacy network wants, a disk that was left without its machine, a jump host, an image of
# one's own.
_UNSEEN = {
    "compute.networks.use",
    "compute.disks.delete",
    "compute.subnetworks.list",
    "compute.images.useReadOnly",
}


def needed(gcp: Gcp, principal: str, since: int = 0) -> set[str]:
    """The permissions that a principal's calls needed, by the emulator's table."""
    return {
        permission
        for call in gcp.calls()
        if call["sequence"] > since and str(call.get("principal") or "").startswith(principal)
        for permission in call.get("permissions") or ()
    }


def test_the_roles_are_what_the_calls_need(
    gcp: Gcp,
    repository: Project,
    cloud: Callable[..., GcpCloud],
    offer: Callable[..., Any],
    request_for: Callable[..., Any],
) -> None:
    done = repository.cli("run", "train", "--cloud", "gcp", "-y")
    assert done.returncode == 0, done.stderr
    here: Any = cloud()
    secrets = GcpSecrets(here.sessions, "us-central1", "ada", "gs://store")
    secrets.set("CALLS", "former")
    secrets.set("CALLS", "x")
    assert secrets.values(["CALLS"]) == {"CALLS": "x"}
    assert [one.name for one in secrets.listing()] == ["CALLS"]
    assert [one for one in here.check("us-central1") if one.ok is False] == []
    assert "us-central1" in here.regions()
    secrets.delete("CALLS")
    machine = here.launch(request_for("calls", offer(), nodes=2)).machine
    here.terminate(machine.region, machine.ids)
    for verb in (
        ["ps"],
        ["gc", "-y"],
        ["logs", "train-1"],
        ["catalog", "update", "--cloud", "gcp"],
    ):
        again = repository.cli(*verb)
        assert again.returncode == 0, again.stderr
    daily = needed(gcp, "dstack-daily")
    in_project = {one for one in daily if not one.startswith(_NOT_THE_PROJECTS)}
    assert set(policies.permissions("secrets")) <= in_project
    in_project -= set(policies.permissions("secrets"))
    granted = set(policies.permissions("run"))
    assert in_project <= granted
    assert granted - in_project <= _UNSEEN, "a permission that nothing calls for"
    store = {one for one in daily if one.startswith("storage.")}
    assert store <= set(policies.permissions("store"))
    admin = needed(gcp, "dstack-admin")
    assert admin <= set(policies.permissions("init"))


def test_a_machine_needs_no_more_than_its_two_roles(gcp: Gcp, repository: Project) -> None:
    done = repository.cli("run", "train", "--cloud", "gcp", "-y")
    assert done.returncode == 0, done.stderr
    machine = needed(gcp, "dstack-cloud-machine")
    assert "compute.instances.delete" in machine
    allowed = {*policies.permissions("machine"), *policies.permissions("store")}
    assert machine <= allowed
