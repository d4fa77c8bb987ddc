"""What we made in the project and may have left there."""

from __future__ import annotations

from dstack_cloud.clouds.base import PLACEMENT, Leftover
from dstack_cloud.clouds.gcp import machines, network, placement
from dstack_cloud.clouds.gcp.errors import translated
from dstack_cloud.clouds.gcp.machines import Reach
from dstack_cloud.clouds.gcp.names import (
    NODES,
    PREFIX,
    RUN,
    attempt_in,
    last,
    of_store,
    region_of,
    run_in,
)
from dstack_cloud.clouds.gcp.sdk import compute_v1
from dstack_cloud.clouds.gcp.sessions import Sessions, as_json
from dstack_cloud.errors import InternalError

MACHINE, DISK, RULE, NODES_RULE = "machine", "disk", "ssh-rule", "nodes-rule"
GLOBAL = "global"


def listing(sessions: Sessions, region: str, reach: Reach, store: str | None) -> list[Leftover]:
    """Machines, disks without one, placement policies and rules (for SSH, for nodes) of a store's
    runs in the region.

    A rule is the whole project's and belongs to no run and no store: it counts as left only where
    no machine of any is, and as left in the region ``global``.
    """
    everywhere = machines.listing(sessions, None, reach, None)
    ours = machines.listing(sessions, region, reach, store)
    found = [
        Leftover(
            "gcp",
            region,
            MACHINE,
            one.id,
            one.run,
            one.attempt,
            f"{one.machine} {one.zone}, {one.state}",
        )
        for one in ours
    ]
    found += _disks(sessions, region, store)
    found += placement.listing(sessions, region, store)
    if not everywhere:
        found += [
            Leftover(
                "gcp",
                GLOBAL,
                NODES_RULE if name.startswith(NODES) else RULE,
                name,
                detail=description,
            )
            for name, description in network.rules(sessions)
        ]
    return found


def _disks(sessions: Sessions, region: str, store: str | None) -> list[Leftover]:
    """Disks that no machine uses: one whose machine is there goes with it."""
    asked = compute_v1().AggregatedListDisksRequest(
        project=sessions.project(), filter=of_store(store)
    )
    with translated("listing the disks", region):
        disks = [
            as_json(disk)
            for _, scoped in sessions.client("Disks").aggregated_list(asked)
            for disk in scoped.disks
        ]
    found = []
    for disk in disks:
        zone = last(disk.get("zone", ""))
        if disk.get("users") or not disk["name"].startswith(PREFIX) or region_of(zone) != region:
            continue
        labels = disk.get("labels", {})
        size = f"{disk.get('sizeGb', '?')} GB"
        found.append(
            Leftover(
                "gcp",
                region,
                DISK,
                machines.machine_id(zone, disk["name"]),
                run_in(disk.get("description", "")) or labels.get(RUN),
                attempt_in(labels),
                f"{size} {zone}",
            )
        )
    return found


def remove(sessions: Sessions, leftover: Leftover) -> None:
    """Remove one; harmless when it is gone already."""
    if leftover.kind == MACHINE:
        machines.terminate(sessions, [leftover.id])
    elif leftover.kind == DISK:
        _delete_disk(sessions, leftover)
    elif leftover.kind == PLACEMENT:
        placement.delete(sessions, leftover.region, leftover.id, placement.GOES_WITHIN_S)
    elif leftover.kind in (RULE, NODES_RULE):
        network.expel(sessions, leftover.id)
    else:
        raise InternalError(f"Google Cloud has no leftover of the kind '{leftover.kind}'")


def _delete_disk(sessions: Sessions, leftover: Leftover) -> None:
    from google.api_core import exceptions

    zone, _, name = leftover.id.partition("/")
    with translated(f"deleting the disk {name}", leftover.region):
        try:
            sessions.client("Disks").delete_unary(project=sessions.project(), zone=zone, disk=name)
        except exceptions.NotFound:
            return
