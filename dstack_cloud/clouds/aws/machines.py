"""Machines as EC2 tells of them, and their end."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dstack_cloud.clouds.aws.errors import code_of, translated
from dstack_cloud.clouds.aws.names import RUN, as_dict, attempt_in, of_store
from dstack_cloud.clouds.base import Machine, MachineState

_STATES = {
    "pending": MachineState.STARTING,
    "running": MachineState.RUNNING,
    "stopping": MachineState.STOPPED,
    "stopped": MachineState.STOPPED,
    "shutting-down": MachineState.ENDING,
    "terminated": MachineState.GONE,
}
_ENDED = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")
_ALIVE = [name for name, state in _STATES.items() if state is not MachineState.GONE]
_NOT_FOUND = {"InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"}
_DENIED = {"UnauthorizedOperation", "AccessDenied"}


@dataclass(frozen=True)
class Reach:
    """How machines are reached: at their public address, else through a jump host or a VPN.

    A jump host is in the machines' own network: through it, the private address is the one.
    """

    public_ip: bool = True
    jump_host: str | None = None

    def of(self, instance: dict[str, Any]) -> tuple[str | None, str | None]:
        """(address, jump host) of an instance."""
        if self.public_ip and self.jump_host is None:
            return instance.get("PublicIpAddress"), None
        return instance.get("PrivateIpAddress"), self.jump_host


def as_machine(instance: dict[str, Any], region: str, reach: Reach) -> Machine:
    """The machine in an instance's description."""
    tags = as_dict(instance.get("Tags"))
    address, jump_host = reach.of(instance)
    launched = instance.get("LaunchTime")
    return Machine(
        cloud="aws",
        region=region,
        id=instance["InstanceId"],
        machine=instance["InstanceType"],
        state=_STATES.get(instance["State"]["Name"], MachineState.RUNNING),
        zone=instance.get("Placement", {}).get("AvailabilityZone"),
        address=address,
        jump_host=jump_host,
        spot=instance.get("InstanceLifecycle") == "spot",
        run=tags.get(RUN),
        attempt=attempt_in(tags),
        launched_at=launched.astimezone(UTC) if launched else None,
        ended_at=_ended_at(instance),
        tags=tags,
        private_address=instance.get("PrivateIpAddress"),
    )


def _ended_at(instance: dict[str, Any]) -> datetime | None:
    """When a terminated instance ended, where EC2 says so: it stays listed for about an hour.

    ``User initiated (2026-01-31 09:05:00 GMT)``
    (docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html, StateTransitionReason).
    """
    found = _ENDED.search(instance.get("StateTransitionReason") or "")
    if found is None or instance["State"]["Name"] != "terminated":
        return None
    return datetime.fromisoformat(found[1]).replace(tzinfo=UTC)


def describe(ec2: Any, region: str, machine_id: str, reach: Reach) -> Machine | None:
    """The machine as it is now; None when EC2 no longer (or not yet) knows it."""
    from botocore.exceptions import ClientError

    with translated("looking at the machine", region):
        try:
            answer = ec2.describe_instances(InstanceIds=[machine_id])
        except ClientError as error:
            if code_of(error) in _NOT_FOUND:
                return None
            raise
    for reservation in answer["Reservations"]:
        for instance in reservation["Instances"]:
            return as_machine(instance, region, reach)
    return None


def listing(
    ec2: Any, region: str, reach: Reach, store: str | None, run: str | None = None
) -> list[Machine]:
    """All machines of a store's runs (of one run, if named; None: of every store) that are not
    gone."""
    filters = [
        *of_store(store),
        {"Name": "instance-state-name", "Values": _ALIVE},
    ]
    if run is not None:
        filters.append({"Name": f"tag:{RUN}", "Values": [run]})
    with translated("listing the machines", region):
        return [
            as_machine(instance, region, reach)
            for page in ec2.get_paginator("describe_instances").paginate(Filters=filters)
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        ]


def terminate(ec2: Any, region: str, ids: Iterable[str]) -> None:
    """End the machines; those that are gone already are left out.

    One id that EC2 no longer knows makes it refuse the whole call: as not found, or, where the
    policy asks for our tag, as not allowed, for what is gone has no tags.
    """
    from botocore.exceptions import ClientError

    wanted = sorted(set(ids))
    with translated("terminating", region):
        while wanted:
            try:
                ec2.terminate_instances(InstanceIds=wanted)
                return
            except ClientError as error:
                if code_of(error) not in _NOT_FOUND | _DENIED:
                    raise
                left = _known(ec2, wanted)
                if left == wanted:
                    raise
                wanted = left


def _known(ec2: Any, ids: list[str]) -> list[str]:
    """Those of the ids that EC2 still knows and that are not terminated."""
    filters = [
        {"Name": "instance-id", "Values": ids},
        {"Name": "instance-state-name", "Values": _ALIVE},
    ]
    pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
    found = {
        instance["InstanceId"]
        for page in pages
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    }
    return [one for one in ids if one in found]


def end_on_power_off(ec2: Any, region: str, machine_id: str) -> None:
    """See to it that a power-off ends the machine for good.

    The launch said so, but no document of AWS says that a launch template's shutdown behaviour
    reaches the machines of a spot fleet, so it is read back.
    """
    attribute = "instanceInitiatedShutdownBehavior"
    with translated("reading the shutdown behaviour", region):
        answer = ec2.describe_instance_attribute(InstanceId=machine_id, Attribute=attribute)
        if answer.get("InstanceInitiatedShutdownBehavior", {}).get("Value") == "terminate":
            return
        ec2.modify_instance_attribute(
            InstanceId=machine_id, InstanceInitiatedShutdownBehavior={"Value": "terminate"}
        )
