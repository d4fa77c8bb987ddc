"""For accounts that may not create fleets: RunInstances, pool by pool."""

from __future__ import annotations

import base64
from typing import Any

from dstack_cloud.clouds.aws.codes import fails_at_once
from dstack_cloud.clouds.aws.errors import code_of, message_of, translated
from dstack_cloud.clouds.aws.groups import Pool
from dstack_cloud.clouds.aws.names import part_token
from dstack_cloud.clouds.aws.outcome import Outcome, failure
from dstack_cloud.clouds.aws.template import Blueprint
from dstack_cloud.clouds.base import LaunchFailure, Scope


def launch(
    ec2: Any, region: str, blueprint: Blueprint, groups: tuple[str, ...], pools: list[Pool]
) -> Outcome:
    """The first pool that has a machine.

    ``ec2`` must not retry: the HTTP 500 of a capacity error is the answer. Raises errors of ours
    for what no other pool can help.
    """
    from botocore.exceptions import ClientError

    data = blueprint.data(groups)
    failures: list[LaunchFailure] = []
    for pool in pools:
        with translated("launching", region):
            try:
                answer = ec2.run_instances(**parameters(blueprint, data, pool))
            except ClientError as error:
                code, message = code_of(error), message_of(error)
                if fails_at_once(code, message):
                    raise
                failures.append(failure(code, message, pool))
                if failures[-1].scope not in (Scope.OFFER, Scope.ZONE):
                    break
                continue
        ids = tuple(str(instance["InstanceId"]) for instance in answer["Instances"])
        return Outcome((ids, pool), tuple(failures))
    return Outcome(None, tuple(failures))


def parameters(blueprint: Blueprint, data: dict[str, Any], pool: Pool) -> dict[str, Any]:
    """The parameters of RunInstances for one pool: pure."""
    request = blueprint.request
    interface = {**data["NetworkInterfaces"][0], "SubnetId": pool.subnet.id}
    found: dict[str, Any] = {
        **data,
        # Here boto3 encodes the user data itself.
        "UserData": base64.b64decode(data["UserData"]),
        "NetworkInterfaces": [interface],
        "InstanceType": pool.offer.machine,
        "MinCount": request.nodes,
        "MaxCount": request.nodes,
        "ClientToken": part_token(
            request.token, pool.offer.machine, pool.subnet.id, pool.offer.spot
        ),
    }
    if pool.offer.spot:
        options: dict[str, Any] = {
            "SpotInstanceType": "one-time",
            "InstanceInterruptionBehavior": "terminate",
        }
        if request.max_price is not None:
            options["MaxPrice"] = str(request.max_price)
        found["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": options}
    return found
