"""An instance as the API shows it, and as its machine is told about it. Pure."""

from __future__ import annotations

from typing import Any

from moto_fixtures.gcp.catalog.places import ACCELERATORS, ZONES
from moto_fixtures.gcp.compute import networks
from moto_fixtures.gcp.compute.placement import policy_path
from moto_fixtures.gcp.compute.spec import Asked, Choice, is_spot
from moto_fixtures.gcp.project import NUMBER, PROJECT, fingerprint, last, link, new_id
from moto_fixtures.machine.base import GceFacts, MachineSpec
from moto_fixtures.machine.gce_metadata import user_data

Item = dict[str, Any]


def instance_path(zone: str, name: str) -> str:
    return f"projects/{PROJECT}/zones/{zone}/instances/{name}"


def disk_of(asked: Asked, choice: Choice, name: str) -> tuple[str, Item, Item]:
    """The boot disk's path, itself, and how it hangs on the instance."""
    given = next(d for d in asked.properties["disks"] if d.get("boot"))
    for other in choice.disks or ():
        # A selection's disks override those of the same device name.
        if other.get("boot") or other.get("deviceName") == given.get("deviceName"):
            given = {**given, **other}
    params = given.get("initializeParams") or {}
    zone = f"projects/{PROJECT}/zones/{choice.zone}"
    path = f"{zone}/disks/{params.get('diskName') or name}"
    kind = last(params.get("diskType") or "pd-standard")
    disk: Item = {
        "sizeGb": str(asked.disk_gb),
        "sourceImage": link(asked.image.path),
        "sourceImageId": asked.image.number,
        "type": link(f"{zone}/diskTypes/{kind}"),
        "users": [link(instance_path(choice.zone, name))],
        "architecture": asked.image.architecture,
        "licenses": asked.image.resource()["licenses"],
    }
    disk.update({key: params[key] for key in ("labels", "description") if params.get(key)})
    attached: Item = {
        "kind": "compute#attachedDisk",
        "type": "PERSISTENT",
        "mode": "READ_WRITE",
        "source": link(path),
        "deviceName": given.get("deviceName") or "persistent-disk-0",
        "index": 0,
        "boot": True,
        "autoDelete": bool(given.get("autoDelete")),
        "interface": "SCSI",
        "diskSizeGb": str(asked.disk_gb),
        "architecture": asked.image.architecture,
    }
    return path, disk, attached


def instance(asked: Asked, choice: Choice, name: str, attached: Item, now: str) -> Item:
    """As it is first: ``PROVISIONING``, without an address."""
    given = asked.properties
    region = ZONES[choice.zone]
    zone = f"projects/{PROJECT}/zones/{choice.zone}"
    item: Item = {
        "kind": "compute#instance",
        "id": new_id(),
        "name": name,
        "creationTimestamp": now,
        "zone": link(zone),
        "machineType": link(f"{zone}/machineTypes/{choice.shape.name}"),
        "status": "PROVISIONING",
        "selfLink": link(instance_path(choice.zone, name)),
        "cpuPlatform": "Unknown CPU Platform",
        "canIpForward": bool(given.get("canIpForward")),
        "deletionProtection": False,
        "startRestricted": False,
        "fingerprint": fingerprint(),
        "labelFingerprint": fingerprint(),
        "disks": [attached],
        "networkInterfaces": [
            _interface(one, index, region)
            for index, one in enumerate(given.get("networkInterfaces") or [])
        ],
        "metadata": {
            "kind": "compute#metadata",
            "fingerprint": fingerprint(),
            "items": list((given.get("metadata") or {}).get("items") or []),
        },
        "tags": {
            "fingerprint": fingerprint(),
            "items": list((given.get("tags") or {}).get("items") or []),
        },
        "scheduling": _scheduling(given.get("scheduling") or {}, choice.gpus),
        "shieldedInstanceConfig": {
            "enableSecureBoot": False,
            "enableVtpm": True,
            "enableIntegrityMonitoring": True,
            **(given.get("shieldedInstanceConfig") or {}),
        },
    }
    for key in ("labels", "serviceAccounts", "description"):
        if given.get(key):
            item[key] = given[key]
    if given.get("resourcePolicies"):
        item["resourcePolicies"] = [
            link(policy_path(region, policy)) for policy in given["resourcePolicies"]
        ]
    hostname = (asked.per_instance.get(name) or {}).get("hostname")
    if hostname:
        item["hostname"] = hostname
    if choice.accelerator:
        item["guestAccelerators"] = [
            {
                "acceleratorType": link(f"{zone}/acceleratorTypes/{choice.accelerator}"),
                "acceleratorCount": choice.gpus,
            }
        ]
    return item


def _scheduling(given: Item, gpus: int) -> Item:
    spot = is_spot(given)
    return {
        "automaticRestart": not spot,
        "onHostMaintenance": "TERMINATE" if spot or gpus else "MIGRATE",
        "preemptible": spot,
        "provisioningModel": "SPOT" if spot else "STANDARD",
        **({"instanceTerminationAction": "STOP"} if spot else {}),
        **{k: v for k, v in given.items() if v is not None},
    }


def _interface(given: Item, index: int, region: str) -> Item:
    network, subnetwork = networks.resolve(given, region)
    item: Item = {
        "kind": "compute#networkInterface",
        "name": f"nic{index}",
        "network": link(network),
        "subnetwork": link(subnetwork),
        "fingerprint": fingerprint(),
        "stackType": "IPV4_ONLY",
    }
    access = given.get("accessConfigs") or []
    if access:
        item["accessConfigs"] = [
            {
                "kind": "compute#accessConfig",
                "type": "ONE_TO_ONE_NAT",
                "name": access[0].get("name") or "external-nat",
                "networkTier": access[0].get("networkTier") or "PREMIUM",
            }
        ]
    return item


def set_address(item: Item, address: str) -> None:
    """The machine's address is the inner one, and the outer one where it has one."""
    first = item["networkInterfaces"][0]
    first["networkIP"] = address
    for access in first.get("accessConfigs") or []:
        access["natIP"] = address


def machine_spec(item: Item, asked: Asked, choice: Choice) -> MachineSpec:
    """What the machine is told about itself."""
    attributes = {one["key"]: str(one.get("value", "")) for one in item["metadata"]["items"]}
    account = (item.get("serviceAccounts") or [{}])[0]
    scheduling = item["scheduling"]
    words = ACCELERATORS[choice.accelerator][0] if choice.accelerator else None
    return MachineSpec(
        id=item["id"],
        user_data=user_data(attributes),
        public_ip=bool(item["networkInterfaces"][0].get("accessConfigs")),
        region=ZONES[choice.zone],
        zone=choice.zone,
        instance_type=choice.shape.name,
        spot=asked.spot,
        image=asked.image.path,
        ready=asked.image.ready,
        gpus=choice.gpus,
        gpu_name=words,
        facts=GceFacts(
            name=item["name"],
            project=PROJECT,
            project_number=NUMBER,
            attributes=attributes,
            service_account=account.get("email"),
            scopes=tuple(account.get("scopes") or ()),
            automatic_restart=bool(scheduling["automaticRestart"]),
            on_host_maintenance=scheduling["onHostMaintenance"],
            tags=tuple(item["tags"]["items"]),
        ),
    )
