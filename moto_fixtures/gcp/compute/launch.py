"""``bulkInsert`` and ``insert``: choose a place that has capacity, then launch there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from moto_fixtures.gcp.call import Call, GcpError
from moto_fixtures.gcp.catalog.places import ZONES
from moto_fixtures.gcp.compute import quota, spec
from moto_fixtures.gcp.compute.instances import Instance
from moto_fixtures.gcp.compute.spec import Asked, Choice
from moto_fixtures.gcp.operations import Operation, OperationFailed, Place
from moto_fixtures.gcp.project import PROJECT, known_region, known_zone
from moto_fixtures.gcp.request import Request
from moto_fixtures.shared.faults import Fault, matches

Item = dict[str, Any]
BULK = ("compute.regionInstances.bulkInsert", "compute.instances.bulkInsert")
LAUNCHES = (*BULK, "compute.instances.insert")
STOCKOUT = "ZONE_RESOURCE_POOL_EXHAUSTED"
STOCKOUT_DETAILED = "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"
_STATUS = {STOCKOUT: 503, STOCKOUT_DETAILED: 503, "QUOTA_EXCEEDED": 403, "CONDITION_NOT_MET": 412}
LAUNCH_S = 0.1
"""How long it takes until an instance runs; real ones take ten times a second at least."""


@dataclass
class _Failure:
    choice: Choice
    error: Item


def asked_of(request: Request) -> Asked:
    """The launch that a call describes; GcpError 400 where it describes none."""
    call = request.call
    if call.action == "compute.instances.insert":
        zone = call.params["zone"]
        known_zone(PROJECT, zone)
        return spec.single(call.body or {}, zone)
    if "zone" in call.params:
        known_zone(PROJECT, call.params["zone"])
        zones, regional = [call.params["zone"]], False
    else:
        zones, regional = spec.zones_of(known_region(PROJECT, call.params["region"])), True
    taken = request.emulator.instances.names(zones)
    asked = spec.bulk(call.body or {}, zones, taken, regional=regional)
    request.emulator.resource_policies.check(asked, ZONES[zones[0]])
    return asked


def launch(request: Request) -> Item:
    """Begin; what it comes to is in the operation."""
    call = request.call
    asked = asked_of(request)
    faults = request.emulator.faults.pool_faults(call.action)
    single = call.action not in BULK
    if single:
        _not_taken(request, asked)
    if "region" in call.params:
        place, target = _at(call, "regions", "region"), ""
    else:
        place, target = _at(call, "zones", "zone"), ""
    target = f"{place.path}/instances/{asked.names[0]}" if single else place.path

    def work(operation: Operation) -> None:
        if single:
            _work_single(request, asked, faults)
        else:
            _work_bulk(request, asked, faults, operation)

    return request.begin(place, "insert" if single else "bulkInsert", target, None, work)


def _at(call: Call, kind: str, word: str) -> Place:
    return Place(call.params["project"], kind, call.params[word])


def _not_taken(request: Request, asked: Asked) -> None:
    """A single insert is refused at once where the name is taken."""
    zone = asked.choices[0].zone
    try:
        found = request.emulator.instances.find(zone, asked.names[0])
    except GcpError:
        return
    raise GcpError(409, "alreadyExists", f"The resource '{found.path}' already exists")


def _work_single(request: Request, asked: Asked, faults: list[Fault]) -> None:
    choice, failures = _choose(request, asked, faults)
    if choice is None:
        raise _failed([f.error for f in failures])
    try:
        instance = request.emulator.instances.create(asked, choice, asked.names[0])
    except GcpError as error:
        raise _failed([_as_error(error)]) from error
    request.pause(LAUNCH_S)
    request.emulator.instances.boot(instance)


def _work_bulk(request: Request, asked: Asked, faults: list[Fault], operation: Operation) -> None:
    """All instances go to one place: what ``ANY_SINGLE_ZONE``, the default, says."""
    instances = request.emulator.instances
    choice, failures = _choose(request, asked, faults)
    statuses = {f"zones/{f.choice.zone}": _status(asked, 0) for f in failures}
    made: list[Instance] = []
    if choice is not None:
        try:
            for name in asked.names:
                made.append(instances.create(asked, choice, name))  # noqa: PERF401 - undone below
        except GcpError as error:
            for instance in made:
                instances.end(instance, "delete")
            failures, choice = [_Failure(choice, _as_error(error))], None
            statuses = {f"zones/{failures[0].choice.zone}": _status(asked, 0)}
    if choice is not None:
        statuses[f"zones/{choice.zone}"] = _status(asked, 0, status="CREATING")
        _report(request, operation, statuses)
        request.pause(LAUNCH_S)
        booted = sum(instances.boot(instance) for instance in made)
        statuses[f"zones/{choice.zone}"] = _status(asked, booted)
    _report(request, operation, statuses)
    if choice is None:
        first = {
            "code": "VM_MIN_COUNT_NOT_REACHED",
            "message": f"Requested minimum count of {asked.least} VMs could not be created.",
        }
        raise _failed([first, *(f.error for f in _last_of_each(failures))])


def _report(request: Request, operation: Operation, statuses: dict[str, Item]) -> None:
    request.emulator.operations.change(
        operation,
        instancesBulkInsertOperationMetadata={
            "perLocationStatus": {place: dict(status) for place, status in statuses.items()}
        },
    )


def _status(asked: Asked, created: int, status: str = "DONE") -> Item:
    failed = asked.count - created if status == "DONE" else 0
    return {
        "status": status,
        "targetVmCount": asked.count,
        "createdVmCount": created,
        "failedToCreateVmCount": failed,
        "deletedVmCount": 0,
    }


def _last_of_each(failures: list[_Failure]) -> list[_Failure]:
    """One error for each zone and machine type's code, as the real one lists them by place."""
    seen: dict[tuple[str, str, str], _Failure] = {}
    for failure in failures:
        code = failure.error["code"]
        where = "" if code == "QUOTA_EXCEEDED" else failure.choice.zone
        seen[code, where, str(failure.error["message"])] = failure
    return list(seen.values())


def _choose(
    request: Request, asked: Asked, faults: list[Fault]
) -> tuple[Choice | None, list[_Failure]]:
    """The first choice that nothing stands against, and what stood against those before it."""
    emulator = request.emulator
    failures: list[_Failure] = []
    struck: list[Fault] = []
    chosen = None
    for choice in asked.choices:
        attributes = attributes_of(request, asked, choice)
        fault = next((f for f in faults if matches(f, request.call.action, attributes)), None)
        if fault is not None and fault.error:
            if fault not in struck:
                struck.append(fault)
            failures.append(_Failure(choice, _fault_error(fault, choice, asked.spot)))
            continue
        quotas = emulator.quotas
        refusal = quota.refused(quotas, quotas.usage, choice, asked.spot, asked.count)
        if refusal is not None:
            failures.append(_Failure(choice, refusal))
            continue
        chosen = choice
        break
    emulator.faults.count(struck)
    return chosen, failures


def attributes_of(request: Request, asked: Asked, choice: Choice) -> dict[str, Any]:
    """What a fault's ``match`` may name of one place; ``instance_type`` as on other clouds."""
    return {
        "machine_type": choice.shape.name,
        "instance_type": choice.shape.name,
        "accelerator": choice.accelerator,
        "zone": choice.zone,
        "region": ZONES[choice.zone],
        "spot": asked.spot,
        "name": asked.names[0],
        "principal": request.call.caller.email,
        "service": "compute",
        "project": request.call.params["project"],
    }


def _fault_error(fault: Fault, choice: Choice, spot: bool) -> Item:
    code = fault.error or "INTERNAL_ERROR"
    if code in (STOCKOUT, STOCKOUT_DETAILED):
        return stockout(code, choice, fault.message)
    if code == "QUOTA_EXCEEDED" and fault.message is None:
        where, metric, _ = quota.needs(choice, spot)[0]
        return quota.error(metric, 0.0, where)
    return {"code": code, "message": fault.message or f"{code}, asked of the emulator by a fault"}


def stockout(code: str, choice: Choice, message: str | None = None) -> Item:
    """In the words of https://cloud.google.com/compute/docs/resource-error and of reports of it."""
    zone = f"projects/{PROJECT}/zones/{choice.zone}"
    said = f"The zone '{zone}' does not have enough resources available to fulfill the request."
    more = "  Try a different zone, or try again later."
    if code == STOCKOUT_DETAILED:
        more = "  '(resource type:compute)'."
    attachment = f"{choice.accelerator}:{choice.gpus}" if choice.accelerator else ""
    with_gpus = f" with {choice.gpus} {choice.accelerator} accelerator(s)" if attachment else ""
    return {
        "code": code,
        "message": message or said + more,
        "errorDetails": [
            {
                "help": {
                    "links": [
                        {
                            "description": "Troubleshooting documentation",
                            "url": "https://cloud.google.com/compute/docs/resource-error",
                        }
                    ]
                }
            },
            {
                "localizedMessage": {
                    "locale": "en-US",
                    "message": f"A {choice.shape.name} VM instance{with_gpus} is currently "
                    f"unavailable in the {choice.zone} zone.",
                }
            },
            {
                "errorInfo": {
                    "reason": "resource_availability",
                    "domain": "compute.googleapis.com",
                    "metadatas": {
                        "attachment": attachment,
                        "vmType": choice.shape.name,
                        "zone": choice.zone,
                        "zonesAvailable": "",
                    },
                }
            },
        ],
    }


def _as_error(error: GcpError) -> Item:
    code = "RESOURCE_ALREADY_EXISTS" if error.http == 409 else "INVALID_USAGE"
    return {"code": code, "message": error.message}


def _failed(errors: list[Item]) -> OperationFailed:
    telling = next((e["code"] for e in errors if e["code"] != "VM_MIN_COUNT_NOT_REACHED"), "")
    http = _STATUS.get(telling, 409 if telling == "RESOURCE_ALREADY_EXISTS" else 400)
    return OperationFailed(errors, http, HTTPStatus(http).phrase.upper())


HANDLERS: dict[str, Callable[[Request], Item]] = dict.fromkeys(LAUNCHES, launch)
