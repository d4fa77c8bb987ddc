"""Machines as Compute Engine tells of them, and their end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dstack_cloud.clouds.base import Machine, MachineState
from dstack_cloud.clouds.gcp.errors import translated
from dstack_cloud.clouds.gcp.groups import catalog_type
from dstack_cloud.clouds.gcp.names import RUN, attempt_in, last, of_store, region_of, tags_of
from dstack_cloud.clouds.gcp.sdk import compute_v1
from dstack_cloud.clouds.gcp.sessions import Sessions, as_json
from dstack_cloud.units import GIB

# docs.cloud.google.com/compute/docs/instances/instance-lifecycle. What is TERMINATED is only
# stopped: its disk is on the bill until it is deleted.
_STATES = {
    "PROVISIONING": MachineState.STARTING,
    "STAGING": MachineState.STARTING,
    "PENDING": MachineState.STARTING,
    "RUNNING": MachineState.RUNNING,
    "REPAIRING": MachineState.RUNNING,
    "PENDING_STOP": MachineState.ENDING,
    "STOPPING": MachineState.ENDING,
    "SUSPENDING": MachineState.ENDING,
    "SUSPENDED": MachineState.STOPPED,
    "TERMINATED": MachineState.STOPPED,
    "DEPROVISIONING": MachineState.ENDING,
}


@dataclass(frozen=True)
class Reach:
    """How machines are reached: at their public address, else through a jump host or a VPN.

    A jump host is in the machines' own network: through it, the private address is the one.
    """

    public_ip: bool = True
    jump_host: str | None = None

    def of(self, instance: Mapping[str, Any]) -> tuple[str | None, str | None]:
        """(address, jump host) of an instance."""
        interface: Mapping[str, Any] = next(iter(instance.get("networkInterfaces", ())), {})
        if self.public_ip and self.jump_host is None:
            return public_address(instance), None
        return interface.get("networkIP"), self.jump_host


def public_address(instance: Mapping[str, Any]) -> str | None:
    """The public address of an instance, if it has one."""
    for interface in instance.get("networkInterfaces", ()):
        for access in interface.get("accessConfigs", ()):
            if access.get("natIP"):
                return str(access["natIP"])
    return None


def machine_id(zone: str, name: str) -> str:
    """``ZONE/NAME``."""
    return f"{zone}/{name}"


def split_id(text: str) -> tuple[str, str] | None:
    """(zone, name) of a machine's id; None for what cannot be one."""
    zone, slash, name = text.partition("/")
    return (zone, name) if slash and zone and name else None


def as_machine(instance: Mapping[str, Any], reach: Reach) -> Machine:
    """The machine in an instance's description: pure."""
    tags = tags_of(instance)
    zone = last(instance["zone"])
    address, jump_host = reach.of(instance)
    created, stopped = instance.get("creationTimestamp"), instance.get("lastStopTimestamp")
    boot: Mapping[str, Any] = next(
        (disk for disk in instance.get("disks", ()) if disk.get("boot")), {}
    )
    return Machine(
        cloud="gcp",
        region=region_of(zone),
        id=machine_id(zone, instance["name"]),
        machine=catalog_type(last(instance["machineType"]), instance.get("guestAccelerators", ())),
        state=_STATES.get(instance.get("status", ""), MachineState.RUNNING),
        zone=zone,
        address=address,
        jump_host=jump_host,
        spot=instance.get("scheduling", {}).get("provisioningModel") == "SPOT",
        run=tags.get(RUN),
        attempt=attempt_in(tags),
        launched_at=datetime.fromisoformat(created).astimezone(UTC) if created else None,
        ended_at=(
            datetime.fromisoformat(stopped).astimezone(UTC)
            if stopped and instance.get("status") == "TERMINATED"
            else None
        ),
        disk=int(boot["diskSizeGb"]) * GIB if boot.get("diskSizeGb") else None,
        public=any(one.get("accessConfigs") for one in instance.get("networkInterfaces", ())),
        tags=tags,
        private_address=next(
            (one.get("networkIP") for one in instance.get("networkInterfaces", ())), None
        ),
    )


def describe(sessions: Sessions, machine: str, reach: Reach) -> Machine | None:
    """The machine as it is now; None when there is none of that id."""
    place = split_id(machine)
    if place is None:
        return None
    from google.api_core import exceptions

    instances = sessions.client("Instances")
    with translated("looking at the machine", region_of(place[0])):
        try:
            found = instances.get(project=sessions.project(), zone=place[0], instance=place[1])
        except exceptions.NotFound:
            return None
        except exceptions.BadRequest as error:
            # What cannot be a zone or a name is nobody's.
            if "invalid" not in str(error).lower():
                raise
            return None
    return as_machine(as_json(found), reach)


def listing(
    sessions: Sessions, region: str | None, reach: Reach, store: str | None, run: str | None = None
) -> list[Machine]:
    """All machines of a store's runs (of one run, if named; None: of every store) that are there
    in a region (None: in any), the stopped ones included."""
    asked = compute_v1().AggregatedListInstancesRequest(
        project=sessions.project(), filter=of_store(store, run)
    )
    with translated("listing the machines", region):
        found = [
            as_machine(as_json(instance), reach)
            for _, scoped in sessions.client("Instances").aggregated_list(asked)
            for instance in scoped.instances
        ]
    return [one for one in found if region in (None, one.region) and run in (None, one.run)]


def zone_of(sessions: Sessions, names: Sequence[str]) -> str | None:
    """Where the machines of these names are, if all of them are in one zone."""
    asked = compute_v1().AggregatedListInstancesRequest(
        project=sessions.project(), filter=" OR ".join(f"(name={name})" for name in names)
    )
    found: dict[str, int] = {}
    with translated("looking for the machine"):
        for _, scoped in sessions.client("Instances").aggregated_list(asked):
            for instance in scoped.instances:
                zone = last(instance.zone)
                found[zone] = found.get(zone, 0) + 1
    return next((zone for zone, count in found.items() if count == len(names)), None)


def terminate(sessions: Sessions, ids: Iterable[str]) -> None:
    """Delete the machines and their disks; those that are gone already are left out.

    Returns when Google has taken the order: what it then does cannot be called off.
    """
    from google.api_core import exceptions

    instances = sessions.client("Instances")
    for place in sorted({place for one in ids if (place := split_id(one)) is not None}):
        zone, name = place
        with translated("terminating", region_of(zone)):
            try:
                instances.delete_unary(project=sessions.project(), zone=zone, instance=name)
            except exceptions.NotFound:
                continue
            except exceptions.BadRequest as error:
                if "not ready" not in str(error) and "notReady" not in str(error):
                    raise
