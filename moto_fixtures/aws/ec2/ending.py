"""Ending and stopping instances, the shutdown behaviour, and verbs that have no answer here."""

from __future__ import annotations

from typing import Any

from moto_fixtures.aws import backends
from moto_fixtures.aws.answer import Answer, AwsError
from moto_fixtures.aws.ec2.instances import USER
from moto_fixtures.aws.request import Request


def _wanted(request: Request) -> list[Any]:
    ids = request.params.get("InstanceIds") or []
    if not ids:
        raise AwsError("InvalidParameterCombination", "No instances specified")
    return list(backends.ec2(request.region).get_multi_instances_by_id(ids))


def _changes(request: Request, final: str) -> list[dict[str, Any]]:
    instances = request.emulator.instances
    with instances.lock(request.region):
        wanted = _wanted(request)
        for instance in wanted:
            if final == "terminated" and instance.disable_api_termination is True:
                raise AwsError(
                    "OperationNotPermitted",
                    f"The instance '{instance.id}' may not be terminated. Modify its "
                    "'disableApiTermination' instance attribute and try again.",
                )
            if final == "stopped" and instance.lifecycle == "spot":
                raise AwsError(
                    "UnsupportedOperation",
                    f"You can't stop the Spot Instance '{instance.id}' because it is associated "
                    "with a one-time Spot Instance request.",
                )
        changes = []
        for instance in wanted:
            before = {"Code": instance.state_code, "Name": instance.state}
            instances.end(instance, final, USER)
            changes.append(
                {
                    "InstanceId": instance.id,
                    "PreviousState": before,
                    "CurrentState": {"Code": instance.state_code, "Name": instance.state},
                }
            )
        return changes


def terminate_instances(request: Request) -> Answer:
    """Shutting down until the machine is gone; again is harmless; none if one is unknown."""
    return request.answer({"TerminatingInstances": _changes(request, "terminated")})


def stop_instances(request: Request) -> Answer:
    """As the real one; a stopped emulated machine cannot be started again."""
    return request.answer({"StoppingInstances": _changes(request, "stopped")})


def modify_instance_attribute(request: Request) -> Answer:
    """moto takes a shutdown behaviour without a word and leaves the old one in place."""
    behavior = request.params.get("InstanceInitiatedShutdownBehavior")
    if behavior is None:
        return request.to_moto()
    value = behavior.get("Value")
    if value not in ("stop", "terminate"):
        raise AwsError(
            "InvalidParameterValue",
            f"Invalid value '{value}' for instanceInitiatedShutdownBehavior",
        )
    instances = request.emulator.instances
    with instances.lock(request.region):
        [instance] = backends.ec2(request.region).get_multi_instances_by_id(
            [request.params["InstanceId"]]
        )
        instance.instance_initiated_shutdown_behavior = value
    return request.answer({})


def unsupported(request: Request) -> Answer:
    """Refused plainly rather than answered as if it had happened."""
    raise AwsError("UnsupportedOperation", f"the emulated EC2 does not do {request.call.action}")


HANDLERS = {
    "TerminateInstances": terminate_instances,
    "StopInstances": stop_instances,
    "ModifyInstanceAttribute": modify_instance_attribute,
    "StartInstances": unsupported,
    "RebootInstances": unsupported,
    "RequestSpotInstances": unsupported,
    "RequestSpotFleet": unsupported,
}
