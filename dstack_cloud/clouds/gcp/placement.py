"""Compact placement policies: the nodes of a run near each other, where their type can be.

A policy for each launch, as placement groups are on AWS: one for all would want the nodes of a run
near the machines of another. Without a maximum distance Google places them as near as it can and
refuses nobody for it (docs.cloud.google.com/compute/docs/instances/placement-policies-overview:
"best-effort"). It is on no bill, and can go only when its machines have gone.
"""

from __future__ import annotations

import json
import re
import time

from dstack_cloud.clouds.base import PLACEMENT, LaunchRequest, Leftover
from dstack_cloud.clouds.gcp.errors import code_of, translated
from dstack_cloud.clouds.gcp.names import OWNER, PREFIX, label, policy_name
from dstack_cloud.clouds.gcp.operations import NeverEnds, errors_in, finished, succeeded
from dstack_cloud.clouds.gcp.sdk import compute_v1
from dstack_cloud.clouds.gcp.sessions import Sessions, as_json
from dstack_cloud.errors import TryAgainError

# The same page, "Restrictions": machine series that compact policies are for. n1 and e2 are not.
_SERIES = ("a2", "a3", "a4", "c2", "c2d", "c3", "c3d", "c4", "c4d", "g2", "h3", "n2", "n2d")
_IN_USE = ("resourceInUseByAnotherResource", "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE")
_POLL_S = 1.0
GOES_WITHIN_S = 120.0
"""What machines that are being deleted may take."""


def can_be_near(machine: str) -> bool:
    """Whether machines of the type can be placed together: pure."""
    return machine.split("-", 1)[0] in _SERIES


def refused(message: str) -> bool:
    """Whether a launch was refused for its policy ("Placement policy is not applicable to machine
    type …"): pure."""
    return "placement policy" in message.lower()


def make(sessions: Sessions, region: str, request: LaunchRequest, within_s: float) -> str:
    """The name of the launch's policy, which is there; one that is there already is as good."""
    from google.api_core import exceptions

    doing, name = "making the placement policy", policy_name(request)
    resource = {
        "name": name,
        "description": description(request),
        "groupPlacementPolicy": {"collocation": "COLLOCATED"},
    }
    with translated(doing, region):
        try:
            operation = sessions.client("ResourcePolicies").insert_unary(
                project=sessions.project(),
                region=region,
                resource_policy_resource=compute_v1().ResourcePolicy.from_json(
                    json.dumps(resource)
                ),
            )
        except exceptions.Conflict:
            return name
    succeeded(sessions, operation, doing, within_s)
    return name


def description(request: LaunchRequest) -> str:
    """Says whose a policy is, which has no labels: pure."""
    return f"{OWNER} attempt {request.attempt} of {request.run}, {label(request.store)}"


def owner_in(text: str) -> tuple[int, str, str] | None:
    """(attempt, run, label of the store) in a policy's description, if it is one of ours: pure."""
    found = re.fullmatch(rf"{OWNER} attempt (\d+) of (.+), ([a-z0-9_-]*)", text)
    return (int(found[1]), found[2], found[3]) if found else None


def delete(sessions: Sessions, region: str, name: str, within_s: float = 0.0) -> None:
    """Delete a policy; harmless when it is gone already. TryAgainError while machines are under it,
    which may take so many seconds to go."""
    until = time.monotonic() + within_s
    while _in_use(sessions, region, name):
        if time.monotonic() >= until:
            words = f"machines are still under the placement policy {name}"
            raise TryAgainError(words, "dstack-cloud gc removes it when they have gone")
        time.sleep(_POLL_S)


def _in_use(sessions: Sessions, region: str, name: str) -> bool:
    """Ask for its deletion: whether that was refused because machines are under it."""
    from google.api_core import exceptions

    doing = "deleting the placement policy"
    with translated(doing, region):
        try:
            operation = sessions.client("ResourcePolicies").delete_unary(
                project=sessions.project(), region=region, resource_policy=name
            )
        except exceptions.NotFound:
            return False
        except exceptions.GoogleAPICallError as error:
            if code_of(error) in _IN_USE:
                return True
            raise
    try:
        done = finished(sessions, operation, doing, GOES_WITHIN_S)
    except NeverEnds:
        return False
    return any(one.get("code") in _IN_USE for one in errors_in(done))


def listing(sessions: Sessions, region: str, store: str | None) -> list[Leftover]:
    """The policies of a store's runs (of every store for None) in the region."""
    asked = compute_v1().ListResourcePoliciesRequest(
        project=sessions.project(), region=region, filter=f'name eq "{PREFIX}.*"'
    )
    with translated("listing the placement policies", region):
        found = [as_json(one) for one in sessions.client("ResourcePolicies").list(asked)]
    left = []
    for policy in found:
        owner = owner_in(str(policy.get("description", "")))
        if owner is None or (store is not None and owner[2] != label(store)):
            continue
        left.append(Leftover("gcp", region, PLACEMENT, policy["name"], owner[1], owner[0]))
    return left
