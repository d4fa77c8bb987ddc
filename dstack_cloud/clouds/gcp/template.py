"""What a machine is launched with: pure builders of bulkInsert's requests.

In Google's own JSON: docs.cloud.google.com/compute/docs/reference/rest/v1/regionInstances.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dstack_cloud.catalog.attached_gpus import google_type
from dstack_cloud.clouds.base import LaunchRequest
from dstack_cloud.clouds.gcp.groups import ATTACHED, Group
from dstack_cloud.clouds.gcp.images import Image
from dstack_cloud.clouds.gcp.names import TAG, disk_description, labels, machine_names, tags
from dstack_cloud.clouds.gcp.settings import Settings
from dstack_cloud.errors import InternalError

# docs.cloud.google.com/compute/docs/metadata/overview: 256 KB a value.
USER_DATA_LIMIT = 256 * 1024
# docs.cloud.google.com/compute/docs/instances/limit-vm-runtime: 30 s to 120 days.
_SHORTEST_S, _LONGEST_S = 30, 120 * 24 * 3600
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
# "preemptionNoticeDuration": 0 or 120 s, for spot machines.
_NOTICE_S = 120


@dataclass(frozen=True)
class Blueprint:
    """Everything about a launch but the offers. ``project`` is where the machine is made,
    ``policy`` the name of what keeps its machines near each other."""

    request: LaunchRequest
    image: Image
    settings: Settings
    project: str
    region: str
    now: datetime
    policy: str | None = None

    def body(self, group: Group, zones: Iterable[str], notice: bool) -> dict[str, Any]:
        """The body of regional ``bulkInsert``: one machine of the group in one of its zones, or
        all nodes of a run together there, or none (docs.cloud.google.com/compute/docs/reference/
        rest/v1/regionInstances/bulkInsert: "If minCount instances cannot be created, then no
        instances will be created and instances already created will be deleted").

        ``zones`` are all of the region's: one that is not denied by name is allowed.
        """
        allowed = set(group.zones)
        locations = {
            f"zones/{zone}": {"preference": "ALLOW" if zone in allowed else "DENY"}
            for zone in sorted(allowed.union(zones))
        }
        body: dict[str, Any] = {
            "count": str(self.request.nodes),
            "minCount": str(self.request.nodes),
            "perInstanceProperties": {name: {} for name in machine_names(self.request)},
            "instanceProperties": self._properties(group, notice),
            # Where an offer names no zone, any will do.
            "locationPolicy": {
                "targetShape": "ANY_SINGLE_ZONE",
                **({"locations": locations} if allowed else {}),
            },
        }
        if not self._one_type(group):
            body["instanceFlexibilityPolicy"] = {"instanceSelections": selections(group)}
        return body

    def _one_type(self, group: Group) -> bool:
        """Whether the request is for one machine type: a flexibility policy takes no attached GPUs,
        and might give the nodes of a run different machines."""
        return group.attached is not None or self.request.nodes > 1

    def _properties(self, group: Group, notice: bool) -> dict[str, Any]:
        gpu = group.attached
        found: dict[str, Any] = {
            "labels": labels(self.request),
            "metadata": {"items": self._metadata(group.spot and notice)},
            "tags": {"items": list(self.settings.network_tags or (TAG,))},
            "scheduling": self._scheduling(group, notice),
            "serviceAccounts": [{"email": self.settings.account(self.project), "scopes": [_SCOPE]}],
            "disks": [
                {
                    "boot": True,
                    "autoDelete": True,
                    "initializeParams": {
                        "sourceImage": self.image.machine.id,
                        "diskSizeGb": str(self.image.disk_gib(self.request.disk)),
                        "diskType": group.disk,
                        "description": disk_description(self.request),
                        "labels": labels(self.request),
                    },
                }
            ],
            "networkInterfaces": [self._interface()],
        }
        if self.policy is not None:
            found["resourcePolicies"] = [self.policy]
        if self._one_type(group):
            found["machineType"] = google_type(group.offers[0].machine)
        if gpu is not None:
            found["guestAccelerators"] = [
                {"acceleratorType": ATTACHED[gpu.name], "acceleratorCount": gpu.count}
            ]
        return found

    def _metadata(self, notice: bool) -> list[dict[str, str]]:
        data = self.request.user_data(self.image.machine)
        if len(data) > USER_DATA_LIMIT:
            raise InternalError(
                f"the user data is {len(data)} bytes; Google Cloud takes {USER_DATA_LIMIT}"
            )
        values = {
            **tags(self.request),
            "user-data": data.decode(),
            # With OS Login the keys of the metadata would count for nothing, and so would ours.
            "enable-oslogin": "FALSE",
            "block-project-ssh-keys": "TRUE",
        }
        if notice:
            # The machine's agent finds here how early it is told: Google does not say it there.
            values["dstack-cloud-preemption-notice"] = str(_NOTICE_S)
        if self.request.authorized_key:
            values["ssh-keys"] = f"{self.image.machine.user}:{self.request.authorized_key}"
        return [{"key": key, "value": value} for key, value in values.items()]

    def _scheduling(self, group: Group, notice: bool) -> dict[str, Any]:
        # Machines with GPUs, spot ones and those placed together cannot be moved while they run.
        fixed = group.spot or group.offers[0].gpu is not None or self.policy is not None
        found: dict[str, Any] = {
            "provisioningModel": "SPOT" if group.spot else "STANDARD",
            "automaticRestart": False,
            "onHostMaintenance": "TERMINATE" if fixed else "MIGRATE",
        }
        if self.request.deadline is not None:
            left = int((self.request.deadline - self.now).total_seconds())
            seconds = min(max(left, _SHORTEST_S), _LONGEST_S)
            found["maxRunDuration"] = {"seconds": str(seconds)}
        if group.spot or self.request.deadline is not None:
            found["instanceTerminationAction"] = "DELETE"
        if group.spot and notice:
            found["preemptionNoticeDuration"] = {"seconds": str(_NOTICE_S)}
        return found

    def _interface(self) -> dict[str, Any]:
        settings = self.settings
        found: dict[str, Any] = {"network": network_path(settings, self.project)}
        if settings.subnetwork:
            found["subnetwork"] = subnetwork_path(settings, self.project, self.region)
            if not settings.network:
                # Google takes the network from the subnetwork.
                del found["network"]
        if settings.public_ip:
            found["accessConfigs"] = [{"name": "External NAT", "type": "ONE_TO_ONE_NAT"}]
        return found


def selections(group: Group) -> dict[str, Any]:
    """The group's machine types by rank: a lower rank is preferred."""
    machines = dict.fromkeys(offer.machine for offer in group.offers)
    return {
        f"rank-{rank}": {"rank": str(rank), "machineTypes": [machine]}
        for rank, machine in enumerate(machines, 1)
    }


def network_path(settings: Settings, project: str) -> str:
    """The network's address, ``projects/P/global/networks/N``."""
    owner, name = _owned(settings.network or "default", project)
    return f"projects/{owner}/global/networks/{name}"


def subnetwork_path(settings: Settings, project: str, region: str) -> str:
    """The subnetwork's address in a region."""
    owner, name = _owned(settings.subnetwork or "default", project)
    return f"projects/{owner}/regions/{region}/subnetworks/{name}"


def _owned(name: str, project: str) -> tuple[str, str]:
    owner, slash, rest = name.partition("/")
    return (owner, rest) if slash else (project, name)
