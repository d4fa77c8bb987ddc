"""The catalog of Google Cloud, read live: what the project is offered, and at what price.

By plain REST: regions, machine types and accelerator types of the Compute API, zone by zone and all
at once, and the SKUs of the Cloud Billing catalog, which are the same for all regions. Only the
first are indispensable: where the caller may not read prices, those that are known stay.

A spot price holds for all zones of a region and changes once a day at most ("Spot VMs pricing",
cloud.google.com/compute/docs/instances/spot), so it is read with the rest; there is no history.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any, NamedTuple, Protocol

from dstack_cloud.catalog.attached_gpus import combinations, with_gpus
from dstack_cloud.catalog.live import LiveRegion, SpotPrices
from dstack_cloud.catalog.models import Place
from dstack_cloud.catalog.skus_gcp import Prices, read
from dstack_cloud.catalog.specs_gcp import ACCELERATORS, Described, machine_type
from dstack_cloud.errors import AccessError, DstackError, InputError, TryAgainError
from dstack_cloud.google_rest import GoogleRest
from dstack_cloud.resources import Gpu
from dstack_cloud.units import GIB, utc_now

_THREADS = 16
_SKUS = "v1/services/6F81-5844-456A/skus"
# Partial responses: the SKUs alone are 30,000 items.
_FIELDS = {
    "machineTypes": "items(name,guestCpus,memoryMb,architecture,accelerators,bundledLocalSsds,"
    "deprecated),nextPageToken",
    "acceleratorTypes": "items(name,deprecated),nextPageToken",
    "skus": "skus(description,category,serviceRegions,pricingInfo/pricingExpression),nextPageToken",
}


class Rest(Protocol):
    """Google's REST APIs, as `google_rest.GoogleRest` reads them."""

    def get(self, service: str, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The JSON value at a path of a service."""
        ...


class Zone(NamedTuple):
    """What a zone has: machine types as described, and the names of its attachable GPUs."""

    name: str
    types: list[Described]
    gpus: set[str]


class GcpSource:
    """Google Cloud as the catalog's source, for one project."""

    spot_age = timedelta(hours=24)

    def __init__(self, rest: Rest, project: str) -> None:
        self._rest = rest
        self._project = project

    def fetch(self, regions: Sequence[str]) -> Iterator[LiveRegion]:
        """See `Source`."""
        if not regions:
            return
        at = utc_now()
        with ThreadPoolExecutor(_THREADS) as pool:
            prices = pool.submit(self._prices)
            listed = {region: pool.submit(self._zones_of, region) for region in regions}
            try:
                zones = {
                    region: [pool.submit(self._zone, zone) for zone in names.result()]
                    for region, names in listed.items()
                }
                for region, readings in zones.items():
                    there = [reading.result() for reading in readings]
                    known, problems = _or_none(prices)
                    places, types = assembled(region, there, known or Prices())
                    priced = known is not None
                    yield LiveRegion(region, at, types, places, priced, priced, problems)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def fetch_spot(self, wanted: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, SpotPrices]]:
        """See `Source`: spot prices alone cannot be read, so the regions are."""
        for live in self.fetch([region for region, types in wanted.items() if types]):
            if live.spot_priced:
                yield live.region, {place.machine: dict(place.spot) for place in live.places}

    def _zones_of(self, region: str) -> list[str]:
        path = f"projects/{self._project}/regions/{region}"
        found = self._rest.get("compute", path, {"fields": "name,zones"})
        return [str(link).rpartition("/")[2] for link in found.get("zones", ())]

    def _zone(self, zone: str) -> Zone:
        path = f"projects/{self._project}/zones/{zone}"
        types = self._pages("compute", path, "machineTypes", "items", {"maxResults": "500"})
        kinds = self._pages("compute", path, "acceleratorTypes", "items", {"maxResults": "500"})
        gpus = {
            ACCELERATORS[kind["name"]].gpu
            for kind in kinds
            if kind["name"] in ACCELERATORS and not kind.get("deprecated", {}).get("state")
        }
        return Zone(zone, [found for found in map(machine_type, types) if found], gpus)

    def _prices(self) -> Prices:
        service, _, name = _SKUS.rpartition("/")
        query = {"pageSize": "5000", "currencyCode": "USD"}
        return read(self._pages("cloudbilling", service, name, "skus", query))

    def _pages(
        self, service: str, path: str, name: str, field: str, query: Mapping[str, str]
    ) -> Iterator[Mapping[str, Any]]:
        asked = {**query, "fields": _FIELDS[name]}
        while True:
            answer = self._rest.get(service, f"{path}/{name}", asked)
            yield from answer.get(field, ())
            if not answer.get("nextPageToken"):
                return
            asked["pageToken"] = answer["nextPageToken"]


def source(project: str | None) -> GcpSource:
    """Google Cloud by the caller's credentials; ``project`` None is theirs.

    Raises InputError where none is known, CredentialsError where there are no credentials.
    """
    rest = GoogleRest()
    named = project or rest.project
    if not named:
        raise InputError(
            "no Google Cloud project is set",
            "set gcp.project in the configuration, or GOOGLE_CLOUD_PROJECT",
        )
    return GcpSource(rest, named)


def assembled(region: str, zones: Sequence[Zone], prices: Prices) -> tuple[list[Place], list[Any]]:
    """The places of a region, and their machine types; pure."""
    types: dict[str, Described] = {}
    where: dict[str, list[str]] = defaultdict(list)
    for zone in zones:
        for found in zone.types:
            for one in (found, *_attached(found, zone)):
                types[one.type.name] = one
                where[one.type.name].append(zone.name)
    places = []
    for name, (machine, bill) in sorted(types.items()):
        spot = prices.of(bill, region, spot=True)
        places.append(
            Place(
                name,
                region,
                tuple(sorted(where[name])),
                prices.of(bill, region, spot=False) if machine.on_demand else None,
                tuple((zone, spot) for zone in sorted(where[name])) if spot is not None else (),
            )
        )
    return places, [found.type for found in types.values()]


def _attached(found: Described, zone: Zone) -> Iterator[Described]:
    """The same machine with each number of each GPU that may be attached to it in a zone."""
    machine, bill = found
    attachable = [one for one in ACCELERATORS.values() if one.gpu in zone.gpus]
    for kind in attachable:
        for count in combinations(
            machine.name, machine.cpu, machine.memory / GIB, kind.gpu, zone.name
        ):
            gpu = Gpu(kind.gpu, count, kind.gigabytes * GIB)
            yield Described(
                machine._replace(name=with_gpus(machine.name, count, kind.gpu), gpu=gpu),
                bill._replace(gpu=kind.sku, gpus=count),
            )


def _or_none(reading: Future[Prices]) -> tuple[Prices | None, list[DstackError]]:
    try:
        return reading.result(), []
    except (AccessError, TryAgainError) as error:
        return None, [error]
