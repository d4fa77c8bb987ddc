"""One machine from a group of offers (or the nodes of a run): one regional ``bulkInsert``, and
what it came to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from dstack_cloud.clouds.base import LaunchFailure
from dstack_cloud.clouds.gcp import machines, outcome, placement
from dstack_cloud.clouds.gcp.codes import fails_at_once
from dstack_cloud.clouds.gcp.errors import code_of, failed, message_of, translated
from dstack_cloud.clouds.gcp.groups import Group
from dstack_cloud.clouds.gcp.names import machine_names, request_id
from dstack_cloud.clouds.gcp.operations import NeverEnds, finished
from dstack_cloud.clouds.gcp.outcome import Problem, failures_of, problems_in, unanswered
from dstack_cloud.clouds.gcp.sdk import compute_v1
from dstack_cloud.clouds.gcp.sessions import Sessions
from dstack_cloud.clouds.gcp.template import Blueprint

_NOTICE = "preemptionNoticeDuration"
# The name is one launch's alone: what has it was made by an earlier use of the token.
_THERE = ("alreadyExists", "RESOURCE_ALREADY_EXISTS", "409")
# Codes of a request that Google does not understand as it is.
_NOT_UNDERSTOOD = ("invalid", "badRequest", "INVALID_ARGUMENT", "INVALID_FIELD_VALUE", "400")


@dataclass(frozen=True)
class Outcome:
    """The zone and machine type that were launched, or None; and what failed."""

    zone: str | None
    failures: tuple[LaunchFailure, ...] = ()


def launch(
    sessions: Sessions, blueprint: Blueprint, group: Group, zones: Sequence[str], part: int
) -> Outcome:
    """Ask for one machine of the group (or the nodes of a run together), once; ``part`` tells the
    groups of a launch apart.

    Raises what no other offer can help, and NeverEnds where the operation is not done in time:
    whatever it has made by then is deleted.
    """
    answer = _asked(sessions, blueprint, group, zones, part)
    names = machine_names(blueprint.request)
    if isinstance(answer, Problem):
        if answer.code in _THERE and (zone := machines.zone_of(sessions, names)):
            return Outcome(zone)
        if fails_at_once(answer.code):
            raise failed(answer.code, answer.message, "launching", blueprint.region)
        return Outcome(None, failures_of([answer], group))
    within_s = blueprint.settings.operation_s
    try:
        operation = finished(sessions, answer, "launching", within_s)
    except NeverEnds:
        # The names are known, so whatever has been made can be found.
        _none(sessions, names, zones)
        raise
    problems = problems_in(operation)
    made = outcome.made_in(operation)
    zone = next((zone for zone, count in made.items() if count >= len(names)), None)
    if zone is None and all(one.code in _THERE for one in problems):
        zone = machines.zone_of(sessions, names)
    if zone is not None:
        return Outcome(zone, failures_of(problems, group))
    # Google takes back what is fewer than the minimum; should it not, we do.
    _none(sessions, names, list(made))
    for problem in problems:
        if fails_at_once(problem.code):
            raise failed(problem.code, problem.message, "launching", blueprint.region)
    return Outcome(None, failures_of(problems, group) or unanswered(group))


def _asked(
    sessions: Sessions, blueprint: Blueprint, group: Group, zones: Sequence[str], part: int
) -> Any:
    """The operation that has begun, or why it was refused; without what not every machine can have
    (the longer notice, others near it), where it is this that was refused."""
    notice = group.spot
    while True:
        answer = _ask(sessions, blueprint, group, zones, part, notice)
        if not isinstance(answer, Problem) or answer.code not in _NOT_UNDERSTOOD:
            return answer
        if notice and _NOTICE in answer.message:
            notice = False
        elif blueprint.policy is not None and placement.refused(answer.message):
            blueprint = replace(blueprint, policy=None)
        else:
            return answer


def _none(sessions: Sessions, names: Sequence[str], zones: Sequence[str]) -> None:
    """End whatever has been made under these names."""
    machines.terminate(sessions, [machines.machine_id(z, name) for z in zones for name in names])


def _ask(
    sessions: Sessions,
    blueprint: Blueprint,
    group: Group,
    zones: Sequence[str],
    part: int,
    notice: bool,
) -> Any:
    """The operation that has begun, or why it was refused."""
    from google.api_core import exceptions

    body = blueprint.body(group, zones, notice)
    asked = compute_v1().BulkInsertRegionInstanceRequest(
        project=blueprint.project,
        region=blueprint.region,
        request_id=request_id(
            machine_names(blueprint.request)[0], str(part), str(notice), str(blueprint.policy)
        ),
        bulk_insert_instance_resource_resource=compute_v1().BulkInsertInstanceResource.from_json(
            json.dumps(body)
        ),
    )
    with translated("launching", blueprint.region):
        try:
            return sessions.client("RegionInstances").bulk_insert_unary(asked)
        except exceptions.GoogleAPICallError as error:
            return Problem(code_of(error), message_of(error))
