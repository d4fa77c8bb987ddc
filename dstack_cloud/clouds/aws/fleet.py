"""One machine from many pools with one call: an instant fleet.

Several machines of one attempt come from one call, too, all or none: a minimum as large as the
target, of one instance type in one zone
(docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SpotOptionsRequest.html and
API_OnDemandOptionsRequest.html).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from dstack_cloud.clouds.aws.codes import fails_at_once
from dstack_cloud.clouds.aws.errors import code_of, failed, message_of, translated
from dstack_cloud.clouds.aws.groups import Pool
from dstack_cloud.clouds.aws.names import part_token
from dstack_cloud.clouds.aws.outcome import (
    Outcome,
    failure,
    message_in,
    pool_of,
    request_failures,
)
from dstack_cloud.clouds.aws.templates import DENIED, FleetsDenied
from dstack_cloud.clouds.base import LaunchFailure, LaunchRequest
from dstack_cloud.errors import DstackError, TryAgainError

_TEMPLATE_GONE = {
    "InvalidLaunchTemplateName.NotFoundException",
    "InvalidLaunchTemplateId.NotFound",
    "InvalidLaunchTemplateId.NotFoundException",
    "InvalidLaunchTemplateId.VersionNotFound",
}
# A template may not be visible everywhere at once after it was made (EC2 API: eventual
# consistency, docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html).
_VISIBLE_WITHIN_S = (0.1, 0.3, 1.0, 2.0)


_REPLAYED = {"IdempotentParameterMismatch"}


class Replayed(Exception):
    """The token was used before for a request that was not quite this one."""


def launch(
    ec2: Any,
    region: str,
    request: LaunchRequest,
    template: str,
    pools: list[Pool],
    part: int,
) -> Outcome:
    """Ask for one machine of the pools (or the nodes of a run, of one pool), best first, by the
    launch template of that name.

    ``part`` tells apart the fleets of one request. Raises FleetsDenied, Replayed, and errors of
    ours for what no other offer can help.
    """
    token = part_token(request.token, part)
    answer = _ask(ec2, region, fleet_request(request, template, token, pools), pools)
    if isinstance(answer, Outcome):
        return answer
    return read_answer(answer, pools, region, request.nodes)


def fleet_request(
    request: LaunchRequest, template: str, token: str, pools: list[Pool]
) -> dict[str, Any]:
    """The parameters of CreateFleet: pure."""
    spot = pools[0].offer.spot
    market = "spot" if spot else "on-demand"
    parameters: dict[str, Any] = {
        "Type": "instant",
        "ClientToken": token,
        "LaunchTemplateConfigs": [
            {
                "LaunchTemplateSpecification": {
                    "LaunchTemplateName": template,
                    "Version": "$Default",
                },
                "Overrides": [
                    _override(pool, rank, request.max_price if spot else None)
                    for rank, pool in enumerate(pools)
                ],
            }
        ],
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": request.nodes,
            "DefaultTargetCapacityType": market,
        },
    }
    together: dict[str, Any] = {}
    if request.nodes > 1:
        together = {
            "MinTargetCapacity": request.nodes,
            "SingleAvailabilityZone": True,
            "SingleInstanceType": True,
        }
    if spot:
        parameters["SpotOptions"] = {
            "AllocationStrategy": "capacity-optimized-prioritized",
            "InstanceInterruptionBehavior": "terminate",
            **together,
        }
    else:
        parameters["OnDemandOptions"] = {"AllocationStrategy": "prioritized", **together}
    return parameters


def _override(pool: Pool, rank: int, max_price: Decimal | None) -> dict[str, Any]:
    override: dict[str, Any] = {
        "InstanceType": pool.offer.machine,
        "SubnetId": pool.subnet.id,
        "Priority": float(rank),
    }
    if max_price is not None:
        override["MaxPrice"] = str(max_price)
    return override


def _ask(
    ec2: Any, region: str, parameters: dict[str, Any], pools: list[Pool]
) -> dict[str, Any] | Outcome:
    """CreateFleet's answer; an Outcome where the whole request was refused for want of room."""
    from botocore.exceptions import ClientError

    waits = list(_VISIBLE_WITHIN_S)
    with translated("launching", region):
        while True:
            try:
                answer: dict[str, Any] = ec2.create_fleet(**parameters)
                return answer
            except ClientError as error:
                code, message = code_of(error), message_of(error)
                if code in _TEMPLATE_GONE and waits:
                    time.sleep(waits.pop(0))
                    continue
                if code in DENIED:
                    raise FleetsDenied(message) from error
                if code in _REPLAYED:
                    raise Replayed(message) from error
                if fails_at_once(code, message) or code in _TEMPLATE_GONE:
                    raise
                return Outcome(None, request_failures(code, message, pools))


def read_answer(answer: dict[str, Any], pools: list[Pool], region: str, nodes: int = 1) -> Outcome:
    """The outcome in an answer of CreateFleet for so many ``nodes``: pure.

    Raises what no other offer can help when that is all the answer says, and TryAgainError for
    an answer with neither machine nor error.
    """
    failures = tuple(_failures(answer, pools))
    ids: list[str] = []
    pool = pools[0]
    for launched in answer.get("Instances", ()):
        overrides = launched.get("LaunchTemplateAndOverrides", {}).get("Overrides", {})
        pool = pool_of(
            pools,
            launched.get("InstanceType") or overrides.get("InstanceType"),
            overrides.get("SubnetId"),
            overrides.get("AvailabilityZone"),
        )
        ids += map(str, launched.get("InstanceIds", ()))
    if len(ids) >= nodes:
        return Outcome((tuple(ids), pool), failures)
    if not failures:
        raise TryAgainError(
            f"AWS launched nothing in {region} and gave no reason "
            f"(fleet {answer.get('FleetId', 'unknown')})",
            "run the command again, or try another --region",
        )
    hopeless = _hopeless(failures, region)
    if hopeless is not None:
        raise hopeless
    return Outcome(None, failures)


def _failures(answer: dict[str, Any], pools: list[Pool]) -> Iterator[LaunchFailure]:
    for error in answer.get("Errors", ()):
        overrides = error.get("LaunchTemplateAndOverrides", {}).get("Overrides", {})
        pool = pool_of(
            pools,
            overrides.get("InstanceType"),
            overrides.get("SubnetId"),
            overrides.get("AvailabilityZone"),
        )
        yield failure(str(error.get("ErrorCode", "Unknown")), message_in(error), pool)


def _hopeless(failures: tuple[LaunchFailure, ...], region: str) -> DstackError | None:
    """The error to raise when every pool failed for a reason that no other offer can help."""
    if all(fails_at_once(one.code, one.message) for one in failures):
        first = failures[0]
        return failed(first.code, first.message, "launching", region)
    return None
