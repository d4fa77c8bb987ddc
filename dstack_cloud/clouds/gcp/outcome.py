"""What one request for a machine came to, read from the operation's own words. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dstack_cloud.catalog.attached_gpus import google_type
from dstack_cloud.clouds.base import FailureKind, LaunchFailure, Scope
from dstack_cloud.clouds.gcp.codes import WRAPPER, meaning
from dstack_cloud.clouds.gcp.groups import Group
from dstack_cloud.clouds.gcp.names import last
from dstack_cloud.clouds.gcp.operations import errors_in
from dstack_cloud.resources import Offer

_ZONE = re.compile(r"zones/([a-z0-9-]+)")


@dataclass(frozen=True)
class Problem:
    """One error of an operation: ``zone`` where it tells of one, ``metric`` a quota's name,
    ``machine`` the machine type that it speaks of."""

    code: str
    message: str
    zone: str | None = None
    metric: str = ""
    machine: str | None = None


def problems_in(operation: Mapping[str, Any]) -> list[Problem]:
    """The operation's errors without the one that only wraps the others."""
    found = [_problem(error) for error in errors_in(dict(operation))]
    telling = [one for one in found if one.code != WRAPPER]
    return telling or found


def _problem(error: Mapping[str, Any]) -> Problem:
    message = str(error.get("message") or error.get("code") or "no reason given").rstrip(".")
    zone, metric, machine = _zone_in(str(error.get("location", ""))), "", None
    for detail in error.get("errorDetails", ()):
        facts = detail.get("errorInfo", {}).get("metadatas", {})
        zone = zone or _zone_in(f"zones/{last(facts['zone'])}" if facts.get("zone") else "")
        machine = machine or facts.get("vmType")
        metric = metric or detail.get("quotaInfo", {}).get("metricName", "")
    return Problem(
        str(error.get("code") or "unknown"), message, zone or _zone_in(message), metric, machine
    )


def _zone_in(text: str) -> str | None:
    found = _ZONE.search(text)
    return found[1] if found else None


def failures_of(problems: Iterable[Problem], group: Group) -> tuple[LaunchFailure, ...]:
    """What could not be had: for what a zone lacks, one failure for each offer that was asked for
    there; for what holds for the region or all of the project, one."""
    found: dict[tuple[object, ...], LaunchFailure] = {}
    for problem in problems:
        scope = meaning(problem.code, problem.message, problem.metric).scope
        local = scope in (Scope.OFFER, Scope.ZONE)
        for offer in _meant(problem, scope, group) if local else group.offers[:1]:
            for zone in _zones(problem, offer) if local else (problem.zone,):
                one = failure(problem, offer, zone)
                found.setdefault((one.code, one.zone, one.offer.machine), one)
    return tuple(found.values())


def failure(problem: Problem, offer: Offer, zone: str | None) -> LaunchFailure:
    """One offer that could not be had."""
    found = meaning(problem.code, problem.message, problem.metric, offer.spot)
    return LaunchFailure(
        kind=found.kind,
        scope=found.scope,
        code=problem.code,
        message=problem.message,
        offer=offer,
        zone=zone,
        retry_after=found.retry_after,
        any_market=found.any_market,
    )


def _meant(problem: Problem, scope: Scope, group: Group) -> Sequence[Offer]:
    """The offers that a problem speaks of: those of its zone, else all.

    Google answers zone by zone and names the machine type that it tried last: a zone that is
    exhausted had none of the others either. What is wrong with a type itself is that type's alone.
    """
    offers = list(group.offers)
    if scope is Scope.OFFER:
        named = [one for one in offers if problem.machine == google_type(one.machine)]
        offers = named or offers
    if problem.zone is None:
        return offers
    there = [one for one in offers if _in(one, problem.zone)]
    return there or offers[:1]


def _zones(problem: Problem, offer: Offer) -> Sequence[str | None]:
    if problem.zone is not None or not offer.zones:
        return (problem.zone,)
    return [zone.zone for zone in offer.zones]


def _in(offer: Offer, zone: str) -> bool:
    return not offer.zones or any(one.zone == zone for one in offer.zones)


def made_in(operation: Mapping[str, Any]) -> dict[str, int]:
    """Zone to how many machines the operation made and left there, where it tells."""
    places = operation.get("instancesBulkInsertOperationMetadata", {}).get("perLocationStatus", {})
    found = {
        last(place): int(status.get("createdVmCount", 0)) - int(status.get("deletedVmCount", 0))
        for place, status in places.items()
    }
    return {zone: made for zone, made in found.items() if made > 0}


def unanswered(group: Group) -> tuple[LaunchFailure, ...]:
    """An operation that ended without a machine and without a reason."""
    words = "the operation ended without a machine and without a reason"
    return tuple(
        LaunchFailure(FailureKind.CAPACITY, Scope.OFFER, "NO_REASON", words, offer)
        for offer in group.offers
    )
