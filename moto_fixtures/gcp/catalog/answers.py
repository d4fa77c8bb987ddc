"""The GETs of the emulated catalog: zones, regions, machine and accelerator types, SKUs.

Shapes: the published schema of ``compute.v1`` and of ``cloudbilling.v1``. A filter is honoured in
the one form that clients use here, ``FIELD = VALUE`` (or ``eq``), and refused in any other.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

from moto_fixtures.gcp.call import Call, GcpError
from moto_fixtures.gcp.catalog.places import (
    ACCELERATORS,
    REGIONS,
    ZONES,
    accelerators_of,
    shapes_of,
)
from moto_fixtures.gcp.catalog.quotas import QUOTAS
from moto_fixtures.gcp.catalog.shapes import Shape
from moto_fixtures.gcp.catalog.skus import SERVICE, skus

_HOST = "https://www.googleapis.com/compute/v1"
_MADE = "1969-12-31T16:00:00.000-08:00"
_MOST_A_PAGE = 500
_FILTER = re.compile(r'\(?\s*(\w+)\s*(?:=|\beq\b)\s*"?([\w./-]+)"?\s*\)?')

Item = dict[str, Any]


def zones(call: Call) -> Item:
    """``compute.zones.list``."""
    project = _parts(call)[0]
    return _list(call, "zone", f"projects/{project}/zones", [_zone(project, z) for z in ZONES])


def zone(call: Call) -> Item:
    """``compute.zones.get``."""
    project, name = _parts(call)
    return _zone(project, _known(project, "zones", name, ZONES))


def regions(call: Call) -> Item:
    """``compute.regions.list``."""
    project = _parts(call)[0]
    found = [_region(project, name) for name in REGIONS]
    return _list(call, "region", f"projects/{project}/regions", found)


def region(call: Call) -> Item:
    """``compute.regions.get``."""
    project, name = _parts(call)
    return _region(project, _known(project, "regions", name, REGIONS))


def machine_types(call: Call) -> Item:
    """``compute.machineTypes.list``."""
    project, name = _parts(call)
    _known(project, "zones", name, ZONES)
    found = [_machine_type(project, name, shape) for shape in shapes_of(name)]
    return _list(call, "machineType", f"projects/{project}/zones/{name}/machineTypes", found)


def machine_type(call: Call) -> Item:
    """``compute.machineTypes.get``."""
    project, name, wanted = _parts(call)
    _known(project, "zones", name, ZONES)
    there = {shape.name: shape for shape in shapes_of(name)}
    _known(project, f"zones/{name}/machineTypes", wanted, there)
    return _machine_type(project, name, there[wanted])


def all_machine_types(call: Call) -> Item:
    """``compute.machineTypes.aggregatedList``."""
    project = _parts(call)[0]
    found = [
        (name, _machine_type(project, name, shape)) for name in ZONES for shape in shapes_of(name)
    ]
    return _aggregated(call, "machineType", "machineTypes", project, found)


def accelerator_types(call: Call) -> Item:
    """``compute.acceleratorTypes.list``."""
    project, name = _parts(call)
    _known(project, "zones", name, ZONES)
    found = [_accelerator(project, name, kind) for kind in accelerators_of(name)]
    where = f"projects/{project}/zones/{name}/acceleratorTypes"
    return _list(call, "acceleratorType", where, found)


def accelerator_type(call: Call) -> Item:
    """``compute.acceleratorTypes.get``."""
    project, name, wanted = _parts(call)
    _known(project, "zones", name, ZONES)
    _known(project, f"zones/{name}/acceleratorTypes", wanted, accelerators_of(name))
    return _accelerator(project, name, wanted)


def all_accelerator_types(call: Call) -> Item:
    """``compute.acceleratorTypes.aggregatedList``."""
    project = _parts(call)[0]
    found = [
        (name, _accelerator(project, name, kind))
        for name in ZONES
        for kind in accelerators_of(name)
    ]
    return _aggregated(call, "acceleratorType", "acceleratorTypes", project, found)


def listed_skus(call: Call) -> Item:
    """``cloudbilling.services.skus.list``: US dollars only."""
    service = call.path.split("/")[-2]
    if service != SERVICE:
        raise GcpError(404, "notFound", f"Service {service} not found.")
    if call.query.get("currencyCode", "USD") != "USD":
        raise GcpError(400, "badRequest", "The emulated catalog has prices in USD only.")
    everything = skus()
    size = _number(call, "pageSize", 5000, 5000)
    page, token = _page(call, everything, size or 5000)
    return {"skus": page, "nextPageToken": token or ""}


_PROJECT = r"/compute/v1/projects/[^/]+"
_ZONE = rf"{_PROJECT}/zones/[^/]+"
ROUTES: list[tuple[str, str, Callable[[Call], Any]]] = [
    ("GET", rf"{_PROJECT}/zones", zones),
    ("GET", rf"{_PROJECT}/zones/[^/]+", zone),
    ("GET", rf"{_PROJECT}/regions", regions),
    ("GET", rf"{_PROJECT}/regions/[^/]+", region),
    ("GET", rf"{_ZONE}/machineTypes", machine_types),
    ("GET", rf"{_ZONE}/machineTypes/[^/]+", machine_type),
    ("GET", rf"{_PROJECT}/aggregated/machineTypes", all_machine_types),
    ("GET", rf"{_ZONE}/acceleratorTypes", accelerator_types),
    ("GET", rf"{_ZONE}/acceleratorTypes/[^/]+", accelerator_type),
    ("GET", rf"{_PROJECT}/aggregated/acceleratorTypes", all_accelerator_types),
    ("GET", r"/v1/services/[^/]+/skus", listed_skus),
]
"""Method, the whole path as a regular expression, and what answers."""


def _parts(call: Call) -> list[str]:
    """Project, then the names that the path has at every second place after it."""
    _, _, rest = call.path.partition("/projects/")
    return [part for part in rest.split("/")[::2] if part]


def _known(project: str, collection: str, name: str, there: Any) -> str:
    if name not in there:
        message = f"The resource 'projects/{project}/{collection}/{name}' was not found"
        raise GcpError(404, "notFound", message)
    return name


def _zone(project: str, name: str) -> Item:
    link = f"{_HOST}/projects/{project}"
    return {
        "kind": "compute#zone",
        "id": _id(name),
        "creationTimestamp": _MADE,
        "name": name,
        "description": name,
        "status": "UP",
        "region": f"{link}/regions/{ZONES[name]}",
        "selfLink": f"{link}/zones/{name}",
        "availableCpuPlatforms": ["Intel Broadwell", "Intel Skylake", "AMD Rome"],
        "supportsPzs": False,
    }


def _region(project: str, name: str) -> Item:
    link = f"{_HOST}/projects/{project}"
    return {
        "kind": "compute#region",
        "id": _id(name),
        "creationTimestamp": _MADE,
        "name": name,
        "description": name,
        "status": "UP",
        "zones": [f"{link}/zones/{one}" for one, region in ZONES.items() if region == name],
        "quotas": QUOTAS.listed(name),
        "selfLink": f"{link}/regions/{name}",
        "supportsPzs": False,
    }


def _machine_type(project: str, zone: str, shape: Shape) -> Item:
    gigabytes = f"{shape.memory_mb / 1024:.2f}".rstrip("0").rstrip(".")
    item: Item = {
        "kind": "compute#machineType",
        "id": _id(shape.name),
        "creationTimestamp": _MADE,
        "name": shape.name,
        "description": f"{shape.cpus} vCPUs {gigabytes} GB RAM",
        "guestCpus": shape.cpus,
        "memoryMb": shape.memory_mb,
        "imageSpaceGb": 0,
        "maximumPersistentDisks": 16 if shape.shared else 128,
        "maximumPersistentDisksSizeGb": "3072" if shape.shared else "263168",
        "zone": zone,
        "selfLink": f"{_HOST}/projects/{project}/zones/{zone}/machineTypes/{shape.name}",
        "isSharedCpu": shape.shared,
        "architecture": shape.architecture,
    }
    if shape.accelerator:
        item["accelerators"] = [
            {
                "guestAcceleratorType": shape.accelerator,
                "guestAcceleratorCount": shape.gpus,
            }
        ]
    if shape.ssds:
        item["bundledLocalSsds"] = {"defaultInterface": "NVME", "partitionCount": shape.ssds}
    return item


def _accelerator(project: str, zone: str, kind: str) -> Item:
    words, most, _ = ACCELERATORS[kind]
    link = f"{_HOST}/projects/{project}/zones/{zone}"
    return {
        "kind": "compute#acceleratorType",
        "id": _id(kind),
        "creationTimestamp": _MADE,
        "name": kind,
        "description": words,
        "zone": link,
        "selfLink": f"{link}/acceleratorTypes/{kind}",
        "maximumCardsPerInstance": most,
    }


def _list(call: Call, kind: str, where: str, found: Sequence[Item]) -> Item:
    size = _number(call, "maxResults", _MOST_A_PAGE, _MOST_A_PAGE)
    page, token = _page(call, _filtered(call, found), size)
    answer: Item = {
        "kind": f"compute#{kind}List",
        "id": where,
        "items": page,
        "selfLink": f"{_HOST}/{where}",
    }
    return answer | ({"nextPageToken": token} if token else {})


def _aggregated(
    call: Call, kind: str, field: str, project: str, found: Sequence[tuple[str, Item]]
) -> Item:
    """By zone; those with nothing on the page say so, as the real lists do."""
    kept = {id(item) for item in _filtered(call, [item for _, item in found])}
    found = [(zone, item) for zone, item in found if id(item) in kept]
    size = _number(call, "maxResults", _MOST_A_PAGE, _MOST_A_PAGE)
    page, token = _page(call, found, size)
    items: Item = {}
    for zone in ZONES:
        there = [item for one, item in page if one == zone]
        scope = f"zones/{zone}"
        items[scope] = {field: there} if there else {"warning": _nothing(scope)}
    where = f"projects/{project}/aggregated/{field}"
    answer: Item = {
        "kind": f"compute#{kind}AggregatedList",
        "id": where,
        "items": items,
        "selfLink": f"{_HOST}/{where}",
    }
    return answer | ({"nextPageToken": token} if token else {})


def _nothing(scope: str) -> Item:
    return {
        "code": "NO_RESULTS_ON_PAGE",
        "message": f"There are no results for scope '{scope}' on this page.",
        "data": [{"key": "scope", "value": scope}],
    }


def _filtered(call: Call, found: Sequence[Item]) -> list[Item]:
    text = call.query.get("filter", "").strip()
    if not text:
        return list(found)
    wanted = _FILTER.fullmatch(text)
    if wanted is None:
        raise GcpError(400, "invalid", f"Invalid value for field 'filter': '{text}'.")
    field, value = wanted[1], wanted[2]
    return [item for item in found if str(item.get(field, "")).rpartition("/")[2] == value]


def _number(call: Call, name: str, default: int, most: int) -> int:
    text = call.query.get(name, "")
    if not text:
        return default
    if not text.isdigit() or int(text) > most:
        raise GcpError(400, "invalid", f"Invalid value for field '{name}': '{text}'.")
    return int(text)


def _page(call: Call, found: Sequence[Any], size: int) -> tuple[list[Any], str | None]:
    """A page and the token of the next, where there is one; a token is good for its path only."""
    start, token = 0, call.query.get("pageToken")
    if token:
        try:
            path, _, text = base64.urlsafe_b64decode(token).decode().rpartition("?")
            start = int(text)
        except (ValueError, binascii.Error):
            path = ""
        if path != call.path:
            raise GcpError(400, "invalid", "Invalid value for field 'pageToken'.")
    end = start + size
    following = base64.urlsafe_b64encode(f"{call.path}?{end}".encode()).decode()
    return list(found[start:end]), following if end < len(found) else None


def _id(name: str) -> str:
    return str(10**6 + crc32(name.encode()))
