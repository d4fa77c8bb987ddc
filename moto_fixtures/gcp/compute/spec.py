"""What a launch call asks for, checked: names, shape choices, zones, disk, accounts. Pure.

Sources beside each rule; those that no published page states are in the README's unverified list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto_fixtures.gcp.call import GcpError
from moto_fixtures.gcp.catalog.places import ZONES, accelerators_of, shapes_of
from moto_fixtures.gcp.catalog.shapes import SHAPES, Shape
from moto_fixtures.gcp.compute.firewalls import NAME
from moto_fixtures.gcp.compute.images import Image, source
from moto_fixtures.gcp.project import last

Item = dict[str, Any]
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
_MOST_LABELS = 64
_METADATA_VALUE = 256 * 1024
_METADATA_WHOLE = 512 * 1024
_TYPE_URL = re.compile(r"(?:.*projects/[^/]+/)?zones/([^/]+)/machineTypes/([^/]+)")
# cloud.google.com/compute/docs/gpus#n1-gpus: GPU counts that an n1 may have.
_N1_COUNTS = {
    "nvidia-tesla-t4": (1, 2, 4),
    "nvidia-tesla-t4-vws": (1, 2, 4),
    "nvidia-tesla-p4": (1, 2, 4),
    "nvidia-tesla-p100": (1, 2, 4),
    "nvidia-tesla-v100": (1, 2, 4, 8),
}
# The same page: the most vCPUs for so many GPUs.
_N1_CPUS = {
    "nvidia-tesla-t4": {1: 48, 2: 48, 4: 96},
    "nvidia-tesla-p4": {1: 24, 2: 48, 4: 96},
    "nvidia-tesla-p100": {1: 16, 2: 32, 4: 96},
    "nvidia-tesla-v100": {1: 12, 2: 24, 4: 48, 8: 96},
}


@dataclass(frozen=True)
class Choice:
    """One way to have an instance: a machine type in a zone. ``disks`` override, where given."""

    rank: int
    zone: str
    shape: Shape
    accelerator: str | None
    gpus: int
    disks: tuple[Item, ...] | None = None


@dataclass(frozen=True)
class Asked:
    """A launch call, checked. ``choices`` are in the order in which they are tried."""

    names: tuple[str, ...]
    count: int
    least: int
    properties: Item
    choices: tuple[Choice, ...]
    image: Image
    disk_gb: int
    per_instance: Mapping[str, Item] = field(default_factory=dict)

    @property
    def scheduling(self) -> Item:
        return dict(self.properties.get("scheduling") or {})

    @property
    def spot(self) -> bool:
        return is_spot(self.scheduling)


def is_spot(scheduling: Item) -> bool:
    return scheduling.get("provisioningModel") == "SPOT" or bool(scheduling.get("preemptible"))


def invalid(name: str, value: object, why: str) -> GcpError:
    return GcpError(400, "invalid", f"Invalid value for field 'resource.{name}': '{value}'. {why}")


def required(name: str) -> GcpError:
    return GcpError(400, "required", f"Required field 'resource.{name}' not specified")


def bulk(body: Item, zones: list[str], taken: set[str], *, regional: bool) -> Asked:
    """A ``bulkInsert`` over the zones of its region, or its one zone."""
    if body.get("sourceInstanceTemplate"):
        raise GcpError(501, "notImplemented", "the emulated bulkInsert takes no template")
    properties = body.get("instanceProperties")
    if not properties:
        raise required("instanceProperties")
    if body.get("count") is None:
        raise required("count")
    count = int(body["count"])
    least = int(body.get("minCount") or count)
    # cloud.google.com/compute/docs/instances/multiple/about-bulk-creation
    if not 1 <= count <= 5000 or not 1 <= least <= count:
        raise invalid("count", count, "From 1 to 5000, and minCount no more than that.")
    per_instance = body.get("perInstanceProperties") or {}
    names = _names(body.get("namePattern"), per_instance, count, taken)
    for name in names:
        check_name("perInstanceProperties", name)
    policy = body.get("instanceFlexibilityPolicy")
    allowed = _allowed(body.get("locationPolicy") or {}, zones)
    if policy and not regional:
        raise invalid("instanceFlexibilityPolicy", "", "Only for regional bulkInsert.")
    choices = list(
        _flexible(properties, policy, allowed) if policy else _plain(properties, allowed)
    )
    return _asked(properties, names, count, least, choices, per_instance)


def single(body: Item, zone: str) -> Asked:
    """An ``instances.insert``: one instance, by full resource."""
    for name in ("name", "machineType", "networkInterfaces", "disks"):
        if not body.get(name):
            raise required(name)
    check_name("name", body["name"])
    match = _TYPE_URL.fullmatch(body["machineType"])
    if match is None or match[1] != zone:
        raise invalid("machineType", body["machineType"], "A URL of a machine type of the zone.")
    properties = {**body, "machineType": match[2]}
    properties.pop("name")
    return _asked(properties, (body["name"],), 1, 1, list(_plain(properties, [zone])), {})


def _asked(
    properties: Item,
    names: tuple[str, ...],
    count: int,
    least: int,
    choices: list[Choice],
    per_instance: Mapping[str, Item],
) -> Asked:
    image, disk_gb = check_properties(properties)
    gpus = any(choice.gpus for choice in choices)
    maintenance = (properties.get("scheduling") or {}).get("onHostMaintenance")
    # cloud.google.com/compute/docs/gpus/gpu-host-maintenance: they cannot move while they run.
    if gpus and not is_spot(properties.get("scheduling") or {}) and maintenance != "TERMINATE":
        raise invalid(
            "scheduling.onHostMaintenance",
            maintenance or "MIGRATE",
            "Instances with guest accelerators do not support live migration.",
        )
    return Asked(names, count, least, properties, tuple(choices), image, disk_gb, per_instance)


def _names(
    pattern: str | None, per_instance: Mapping[str, Item], count: int, taken: set[str]
) -> tuple[str, ...]:
    if bool(pattern) == bool(per_instance):
        raise invalid(
            "namePattern", pattern or "", "Set either namePattern or perInstanceProperties."
        )
    if per_instance:
        if len(per_instance) < count:
            raise invalid("count", count, "More than the instances in perInstanceProperties.")
        return tuple(per_instance)[:count]
    assert pattern is not None
    found = re.fullmatch(r"([^#]*)(#{1,18})([^#]*)", pattern)
    if found is None:
        raise invalid("namePattern", pattern, "One continuous sequence of # is needed.")
    before, digits, after = found[1], len(found[2]), found[3]
    form = re.compile(re.escape(before) + rf"(\d{{{digits}}})" + re.escape(after))
    used = [int(m[1]) for name in taken if (m := form.fullmatch(name))]
    first = max(used, default=0) + 1
    return tuple(f"{before}{n:0{digits}d}{after}" for n in range(first, first + count))


def check_name(field_name: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise invalid(field_name, name, f"Must be a match of regex '{NAME.pattern}'")


def _allowed(policy: Item, zones: list[str]) -> list[str]:
    """Zones in the order in which they are tried. DENY leaves one out; where any is allowed by
    name, only those are tried."""
    locations = {last(k): v.get("preference") for k, v in (policy.get("locations") or {}).items()}
    for one in policy.get("zones") or []:
        locations.setdefault(last(one.get("zone", "")), "ALLOW")
    for zone in locations:
        if zone not in zones:
            raise invalid("locationPolicy.locations", zone, "Not a zone of the region.")
    allowed = [zone for zone in zones if locations.get(zone) == "ALLOW"]
    left = allowed or [zone for zone in zones if locations.get(zone) != "DENY"]
    if not left:
        raise invalid("locationPolicy.locations", "", "No zone is left.")
    return left


def _plain(properties: Item, zones: list[str]) -> Iterator[Choice]:
    """One machine type, with ``guestAccelerators`` where it is an n1."""
    name = properties.get("machineType")
    if not name:
        raise required("instanceProperties.machineType")
    if "/" in name:
        raise invalid("instanceProperties.machineType", name, "A name, not a URL.")
    accelerator, gpus = _accelerators(properties.get("guestAccelerators") or [], name)
    found = False
    for zone in zones:
        shape = _shape(name, zone)
        if shape is None or (accelerator and accelerator not in accelerators_of(zone)):
            continue
        found = True
        if accelerator:
            yield Choice(0, zone, shape, accelerator, gpus)
        else:
            yield Choice(0, zone, shape, shape.accelerator, shape.gpus)
    if not found:
        what = f" with {gpus} {accelerator}" if accelerator else ""
        raise invalid("machineType", name, f"Not offered in {', '.join(zones)}{what}.")


def _flexible(properties: Item, policy: Item, zones: list[str]) -> Iterator[Choice]:
    """Machine types by rank; what a zone does not have is left out, as long as any is left:
    cloud.google.com/compute/docs/instances/multiple/about-instance-flexibility-for-bulk-vms."""
    if properties.get("machineType"):
        raise invalid(
            "instanceProperties.machineType",
            properties["machineType"],
            "Not together with an instance flexibility policy.",
        )
    if properties.get("guestAccelerators"):
        raise invalid(
            "instanceProperties.guestAccelerators", "", "Not with an instance flexibility policy."
        )
    selections = policy.get("instanceSelections") or {}
    if not selections:
        raise required("instanceFlexibilityPolicy.instanceSelections")
    ranked: list[tuple[int, str, tuple[Item, ...] | None]] = []
    for key, selection in selections.items():
        check_name("instanceFlexibilityPolicy.instanceSelections", key)
        types = selection.get("machineTypes") or []
        if not types:
            raise required(f"instanceFlexibilityPolicy.instanceSelections.{key}.machineTypes")
        disks = tuple(selection["disks"]) if selection.get("disks") else None
        for name in types:
            if "/" in name:
                raise invalid("instanceSelections.machineTypes", name, "A name, not a URL.")
            ranked.append((int(selection.get("rank") or 0), name, disks))
    ranked.sort(key=lambda one: one[0])
    found = False
    for rank, name, disks in ranked:
        for zone in zones:
            shape = _shape(name, zone)
            if shape is not None:
                found = True
                yield Choice(rank, zone, shape, shape.accelerator, shape.gpus, disks)
    if not found:
        names = ", ".join(name for _, name, _ in ranked)
        raise invalid("instanceSelections.machineTypes", names, "None is offered in the region.")


def _shape(name: str, zone: str) -> Shape | None:
    return next((shape for shape in shapes_of(zone) if shape.name == name), None)


def _accelerators(given: list[Item], machine_type: str) -> tuple[str | None, int]:
    if not given:
        return None, 0
    if len(given) > 1:
        raise invalid("guestAccelerators", "", "One type of accelerator at most.")
    kind, count = (
        last(given[0].get("acceleratorType") or ""),
        int(given[0].get("acceleratorCount") or 0),
    )
    shape = SHAPES.get(machine_type)
    own = shape.accelerator if shape else None
    if own is not None:
        if (kind, count) != (own, shape.gpus if shape else 0):
            raise invalid("guestAccelerators", kind, f"{machine_type} comes with its own GPUs.")
        return kind, count
    if not machine_type.startswith("n1-") or kind not in _N1_COUNTS:
        raise invalid("guestAccelerators", kind, f"{machine_type} does not take this accelerator.")
    cpus = _N1_CPUS.get(kind.removesuffix("-vws"), {})
    if count not in _N1_COUNTS[kind] or (shape and shape.cpus > cpus[count]):
        raise invalid("guestAccelerators", count, f"{machine_type} does not take so many {kind}.")
    return kind, count


def check_properties(properties: Item) -> tuple[Image, int]:
    """All but the machine type; the image that boots, and the disk's size in GB."""
    _check_labels(properties.get("labels") or {})
    _check_metadata((properties.get("metadata") or {}).get("items") or [])
    _check_scheduling(properties.get("scheduling") or {})
    if not properties.get("networkInterfaces"):
        raise required("networkInterfaces")
    accounts = properties.get("serviceAccounts") or []
    if len(accounts) > 1:
        raise invalid("serviceAccounts", "", "At most one service account.")
    for account in accounts:
        if not account.get("email") or not account.get("scopes"):
            raise required("serviceAccounts[0].scopes")
    boots = [disk for disk in properties.get("disks") or [] if disk.get("boot")]
    if len(boots) != 1 or not (boots[0].get("initializeParams") or {}).get("sourceImage"):
        raise required("disks[0].initializeParams.sourceImage")
    params = boots[0]["initializeParams"]
    image = source(params["sourceImage"])
    size = int(params.get("diskSizeGb") or image.disk_gb)
    if size < image.disk_gb:
        raise invalid(
            "disks[0].initializeParams.diskSizeGb",
            size,
            f"Requested disk size cannot be smaller than the image size ({image.disk_gb} GB)",
        )
    return image, size


def _check_labels(labels: Mapping[str, str]) -> None:
    """cloud.google.com/compute/docs/labeling-resources#requirements"""
    if len(labels) > _MOST_LABELS:
        raise invalid("labels", len(labels), f"At most {_MOST_LABELS} labels.")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key):
            raise invalid("labels", key, "Label keys: lower-case letters, digits, _ and -.")
        if not _LABEL_VALUE.fullmatch(value):
            raise invalid("labels", value, "Label values: lower-case letters, digits, _ and -.")


def _check_metadata(items: list[Item]) -> None:
    """cloud.google.com/compute/docs/metadata/setting-custom-metadata#limitations"""
    whole = 0
    seen: set[str] = set()
    for item in items:
        key, value = str(item.get("key", "")), str(item.get("value", ""))
        if not re.fullmatch(r"[a-zA-Z0-9-_]{1,128}", key) or key in seen:
            raise invalid("metadata.items", key, "Keys are unique: letters, digits, - and _.")
        seen.add(key)
        if len(value.encode()) > _METADATA_VALUE:
            raise invalid("metadata.items", key, "A value has at most 262144 bytes.")
        whole += len(key) + len(value.encode())
    if whole > _METADATA_WHOLE:
        raise invalid("metadata.items", whole, "All metadata together has at most 524288 bytes.")


def _check_scheduling(scheduling: Item) -> None:
    """cloud.google.com/compute/docs/instances/spot and …/limit-vm-runtime"""
    spot = is_spot(scheduling)
    if spot and scheduling.get("automaticRestart"):
        raise invalid("scheduling.automaticRestart", True, "Spot instances do not restart.")
    if spot and scheduling.get("onHostMaintenance") == "MIGRATE":
        raise invalid("scheduling.onHostMaintenance", "MIGRATE", "Spot instances do not migrate.")
    limit = duration_s(scheduling.get("maxRunDuration"))
    if limit is not None and not 30 <= limit <= 120 * 86400:
        raise invalid("scheduling.maxRunDuration", limit, "From 30 seconds to 120 days.")
    if scheduling.get("instanceTerminationAction") and not spot and limit is None:
        raise invalid(
            "scheduling.instanceTerminationAction",
            scheduling["instanceTerminationAction"],
            "For spot instances, or with a limit of the run time.",
        )
    notice = duration_s(scheduling.get("preemptionNoticeDuration"))
    if notice is not None and (not spot or notice not in (0, 120)):
        raise invalid("scheduling.preemptionNoticeDuration", notice, "0 or 120 s, for spot.")


def duration_s(value: Item | None) -> float | None:
    """A ``Duration`` in seconds."""
    if not value:
        return None
    return int(value.get("seconds") or 0) + int(value.get("nanos") or 0) / 1e9


def zones_of(region: str) -> list[str]:
    return [zone for zone, its in ZONES.items() if its == region]
