"""The calls of Compute Engine that neither launch anything nor belong to the catalog."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto_fixtures.gcp.call import GcpError
from moto_fixtures.gcp.catalog.quotas import QUOTAS
from moto_fixtures.gcp.compute import images, launch, networks, own_images
from moto_fixtures.gcp.compute.firewalls import firewall_path
from moto_fixtures.gcp.compute.listing import aggregated, listed
from moto_fixtures.gcp.compute.placement import policy_path
from moto_fixtures.gcp.operations import Operation, Place, place_of
from moto_fixtures.gcp.project import NUMBER, PROJECT, known_region, known_zone, last, link
from moto_fixtures.gcp.request import Request

Item = dict[str, Any]
Handler = Callable[[Request], Item]
_CHANGE_S = 0.05


def get_instance(request: Request) -> Item:
    params = request.call.params
    known_zone(PROJECT, params["zone"])
    instances = request.emulator.instances
    return instances.view(instances.find(params["zone"], params["instance"]))


def list_instances(request: Request) -> Item:
    zone = request.call.params["zone"]
    known_zone(PROJECT, zone)
    found = [i for i in request.emulator.instances.listing() if last(i["zone"]) == zone]
    return listed(request.call, "instance", found)


def all_instances(request: Request) -> Item:
    return aggregated(request.call, "instance", "instances", request.emulator.instances.listing())


def delete_instance(request: Request) -> Item:
    """Done once it and the disks that go with it are gone."""
    return _end_instance(request, "delete")


def stop_instance(request: Request) -> Item:
    return _end_instance(request, "stop")


def _end_instance(request: Request, final: str) -> Item:
    params = request.call.params
    instances = request.emulator.instances
    instance = instances.find(params["zone"], params["instance"])

    def work(operation: Operation) -> None:
        request.pause(_CHANGE_S)
        instances.end(instance, final, "user")
        (instance.gone if final == "delete" else instance.off).wait()

    place = Place(params["project"], "zones", params["zone"])
    return request.begin(place, final, instance.path, instance.id, work)


def set_labels(request: Request) -> Item:
    body = request.call.body or {}
    return _set(request, "setLabels", "labelFingerprint", body.get("labelFingerprint"), "labels")


def set_metadata(request: Request) -> Item:
    body = request.call.body or {}
    return _set(request, "setMetadata", "metadata", body.get("fingerprint"), "metadata")


def _set(request: Request, kind: str, where: str, fingerprint: str | None, field: str) -> Item:
    """Refused where the resource was changed since the caller read it, as its reference says."""
    params, body = request.call.params, request.call.body or {}
    instances = request.emulator.instances
    instance = instances.find(params["zone"], params["instance"])
    shown = instances.view(instance)
    current = shown[where]["fingerprint"] if where == "metadata" else shown[where]
    if not fingerprint or fingerprint != current:
        raise GcpError(
            412,
            "conditionNotMet",
            "Supplied fingerprint does not match current fingerprint.",
        )
    value = body.get("labels", {}) if field == "labels" else {"items": body.get("items", [])}

    def work(operation: Operation) -> None:
        request.pause(_CHANGE_S)
        instances.change(instance, field, value)

    place = Place(params["project"], "zones", params["zone"])
    return request.begin(place, kind, instance.path, instance.id, work)


def list_disks(request: Request) -> Item:
    zone = request.call.params["zone"]
    known_zone(PROJECT, zone)
    found = [d for d in request.emulator.disks.listing() if last(d["zone"]) == zone]
    return listed(request.call, "disk", found)


def all_disks(request: Request) -> Item:
    return aggregated(request.call, "disk", "disks", request.emulator.disks.listing())


def get_disk(request: Request) -> Item:
    return request.emulator.disks.get(_disk_path(request))


def delete_disk(request: Request) -> Item:
    path = _disk_path(request)
    disk = request.emulator.disks.deletable(path)

    def work(operation: Operation) -> None:
        request.pause(_CHANGE_S)
        request.emulator.disks.remove(path)

    params = request.call.params
    place = Place(params["project"], "zones", params["zone"])
    return request.begin(place, "delete", path, disk["id"], work)


def _disk_path(request: Request) -> str:
    params = request.call.params
    return f"projects/{PROJECT}/zones/{params['zone']}/disks/{params['disk']}"


def get_firewall(request: Request) -> Item:
    return request.emulator.firewalls.get(request.call.params["firewall"])


def list_firewalls(request: Request) -> Item:
    return listed(request.call, "firewall", request.emulator.firewalls.listing())


def insert_firewall(request: Request) -> Item:
    """There at once, as a name that is taken; the operation ends a little later."""
    rule = request.emulator.firewalls.create(request.call.body or {}, request.now)
    return _global(request, "insert", firewall_path(rule["name"]), rule["id"])


def patch_firewall(request: Request) -> Item:
    name = request.call.params["firewall"]
    request.emulator.firewalls.patch(name, request.call.body or {})
    rule = request.emulator.firewalls.get(name)
    return _global(request, "patch", firewall_path(name), rule["id"])


def delete_firewall(request: Request) -> Item:
    rule = request.emulator.firewalls.get(request.call.params["firewall"])
    request.emulator.firewalls.remove(rule["name"])
    return _global(request, "delete", firewall_path(rule["name"]), rule["id"])


def get_policy(request: Request) -> Item:
    params = request.call.params
    return request.emulator.resource_policies.get(params["region"], params["resourcePolicy"])


def list_policies(request: Request) -> Item:
    region = known_region(PROJECT, request.call.params["region"])
    found = request.emulator.resource_policies.listing(region)
    return listed(request.call, "resourcePolicy", found)


def insert_policy(request: Request) -> Item:
    region = known_region(PROJECT, request.call.params["region"])
    policies = request.emulator.resource_policies
    policy = policies.create(region, request.call.body or {}, request.now)
    return _regional(request, "insert", policy_path(region, policy["name"]), policy["id"])


def delete_policy(request: Request) -> Item:
    """Refused while an instance is under it."""
    params = request.call.params
    region, name = params["region"], params["resourcePolicy"]
    policy = request.emulator.resource_policies.get(region, name)
    path = policy_path(region, name)
    for instance in request.emulator.instances.listing():
        if link(path) in instance.get("resourcePolicies", ()):
            words = (
                f"The resource_policy resource '{path}' is already being used by "
                f"'{instance['selfLink'].partition('/v1/')[2]}'"
            )
            raise GcpError(400, "resourceInUseByAnotherResource", words)
    request.emulator.resource_policies.remove(region, name)
    return _regional(request, "delete", path, policy["id"])


def _regional(request: Request, kind: str, target: str, number: str) -> Item:
    place = Place(request.call.params["project"], "regions", request.call.params["region"])
    return request.begin(place, kind, target, number, lambda _: request.pause(_CHANGE_S))


def _global(request: Request, kind: str, target: str, number: str) -> Item:
    place = Place(request.call.params["project"], "global")
    return request.begin(place, kind, target, number, lambda _: request.pause(_CHANGE_S))


def get_operation(request: Request) -> Item:
    operations = request.emulator.operations
    call = request.call
    return operations.view(operations.find(place_of(call), call.params["operation"]))


def wait_operation(request: Request) -> Item:
    operations = request.emulator.operations
    call = request.call
    return operations.wait(operations.find(place_of(call), call.params["operation"]))


def list_operations(request: Request) -> Item:
    found = request.emulator.operations.of(place_of(request.call))
    return listed(request.call, "operation", found)


def get_project(request: Request) -> Item:
    return {
        "kind": "compute#project",
        "id": str(NUMBER),
        "creationTimestamp": "2026-01-31T01:29:00.000-08:00",
        "name": PROJECT,
        "commonInstanceMetadata": {"kind": "compute#metadata", "fingerprint": "4Bcx7RrhrsA="},
        "quotas": QUOTAS.listed("global"),
        "selfLink": link(f"projects/{PROJECT}"),
        "defaultServiceAccount": f"{NUMBER}-compute@developer.gserviceaccount.com",
        "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS",
        "defaultNetworkTier": "PREMIUM",
    }


HANDLERS: dict[str, Handler] = {
    **{k: lambda request, h=h: h(request.call) for k, h in images.HANDLERS.items()},  # type: ignore[misc]
    **{k: lambda request, h=h: h(request.call) for k, h in networks.HANDLERS.items()},  # type: ignore[misc]
    **launch.HANDLERS,
    **own_images.HANDLERS,
    "compute.instances.get": get_instance,
    "compute.instances.list": list_instances,
    "compute.instances.aggregatedList": all_instances,
    "compute.instances.delete": delete_instance,
    "compute.instances.stop": stop_instance,
    "compute.instances.setLabels": set_labels,
    "compute.instances.setMetadata": set_metadata,
    "compute.disks.get": get_disk,
    "compute.disks.list": list_disks,
    "compute.disks.aggregatedList": all_disks,
    "compute.disks.delete": delete_disk,
    "compute.firewalls.get": get_firewall,
    "compute.firewalls.list": list_firewalls,
    "compute.firewalls.insert": insert_firewall,
    "compute.firewalls.patch": patch_firewall,
    "compute.firewalls.delete": delete_firewall,
    "compute.resourcePolicies.get": get_policy,
    "compute.resourcePolicies.list": list_policies,
    "compute.resourcePolicies.insert": insert_policy,
    "compute.resourcePolicies.delete": delete_policy,
    "compute.projects.get": get_project,
    **{f"compute.{k}Operations.get": get_operation for k in ("zone", "region", "global")},
    **{f"compute.{k}Operations.wait": wait_operation for k in ("zone", "region", "global")},
    **{f"compute.{k}Operations.list": list_operations for k in ("zone", "region", "global")},
}
