"""RunInstances: launch template honoured, client token idempotent, real machines behind."""

from __future__ import annotations

from typing import Any

from moto_fixtures.aws import backends, handlers
from moto_fixtures.aws.answer import Answer, AwsError
from moto_fixtures.aws.ec2 import admission
from moto_fixtures.aws.ec2.instances import USER, open_spot_request
from moto_fixtures.aws.ec2.spec import Spec, merged_tags, resolve, tags_of, template_of
from moto_fixtures.aws.iam.launches import launch_needs
from moto_fixtures.aws.request import Request

_NOT_DATA = {"ClientToken", "DryRun", "LaunchTemplate", "TagSpecifications", "MinCount", "MaxCount"}


def run_instances(request: Request) -> Answer:
    """Launch ``MaxCount`` machines, or as many as capacity gives above ``MinCount``."""
    params = request.params
    data = {k: v for k, v in params.items() if k not in _NOT_DATA}
    tags, template = tags_of(params.get("TagSpecifications")), None
    if params.get("LaunchTemplate"):
        found, template, _ = template_of(request.region, params["LaunchTemplate"])
        tags = merged_tags(tags_of(found.pop("TagSpecifications", None)), tags)
        data = {**found, **data}
    spec = resolve(request.region, data, tags, template)
    request.authorize(launch_needs(spec, "RunInstances"))
    if str(params.get("DryRun", "")).lower() == "true":
        raise handlers.dry_run()
    return request.emulator.tokens.once(
        request.region, "RunInstances", params, lambda: _launch(request, spec)
    )


def _launch(request: Request, spec: Spec) -> Answer:
    params = request.params
    least, most = int(params.get("MinCount") or 1), int(params.get("MaxCount") or 1)
    spot = (spec.data.get("InstanceMarketOptions") or {}).get("SpotOptions") or {}
    faults = request.emulator.faults.pool_faults("RunInstances")
    launched: list[Any] = []
    failure: AwsError | None = None
    for _ in range(most):
        fault = admission.struck(faults, request, spec)
        try:
            if fault is not None:
                request.emulator.faults.count([fault])
                message = fault.message or admission.capacity_message(spec)
                raise AwsError(fault.error or "InternalError", message, fault.http)
            admission.check_pool(request, spec, spot.get("MaxPrice"))
        except AwsError as error:
            failure = error
            break
        launched.append(start(request, spec, params.get("ClientToken"), spot.get("MaxPrice")))
    if failure is not None and len(launched) < least:
        for instance in launched:
            request.emulator.instances.end(instance, "terminated", USER)
        raise failure
    return request.answer(_one_reservation(request.region, launched))


def start(request: Request, spec: Spec, token: str | None, max_price: str | None) -> Any:
    """One instance of a checked spec, with its spot request where it is one."""
    emulator = request.emulator
    instance = emulator.instances.launch(spec, token)
    if spec.spot:
        price = max_price or str(
            emulator.spot_prices.current(spec.region, spec.zone, spec.instance_type)
        )
        open_spot_request(instance, spec, price)
    return instance


def _one_reservation(region: str, launched: list[Any]) -> Any:
    """One call is one reservation, however many instances it launched."""
    backend = backends.ec2(region)
    own = [r for r in backend.reservations.values() if r.instances[0] in launched]
    first = own[0]
    for index, instance in enumerate(launched):
        instance.ami_launch_index = index
    for other in own[1:]:
        first.instances += other.instances
        del backend.reservations[other.id]
    return first


HANDLERS = {"RunInstances": run_instances}
