"""Which calls are answered here; moto answers the rest."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from moto_fixtures.aws import regions, s3
from moto_fixtures.aws.answer import Answer, AwsError
from moto_fixtures.aws.request import Request

Handler = Callable[[Request], Answer]

# These settle permissions and DryRun themselves, once they know what would be launched.
LAUNCHES = {"RunInstances", "CreateFleet"}


@cache
def _table() -> dict[tuple[str, str], Handler]:
    from moto_fixtures.aws import ecr, pricing, quotas, sts
    from moto_fixtures.aws.ec2 import ending, fleet, own_images, placement, run, spot_prices, types
    from moto_fixtures.aws.iam import roles

    table: dict[tuple[str, str], Handler] = {}
    for module in (ending, fleet, own_images, placement, run, spot_prices, types):
        table |= {("ec2", action): handler for action, handler in module.HANDLERS.items()}
    table |= {("pricing", a): h for a, h in pricing.HANDLERS.items()}
    table |= {("servicequotas", a): h for a, h in quotas.HANDLERS.items()}
    table |= {("iam", a): h for a, h in roles.HANDLERS.items()}
    table |= {("ecr", a): h for a, h in ecr.HANDLERS.items()}
    table |= {("sts", a): h for a, h in sts.HANDLERS.items()}
    return table


def answer(request: Request) -> Answer:
    """Authorize and execute one call."""
    call = request.call
    if call.service in ("ec2", "ssm"):
        regions.seed(call.region)
    handler = _table().get((call.service, call.action), Request.to_moto)
    if call.service == "s3":
        request.authorize(request.emulator.authority.needs(request))
        return s3.answer(request)
    if call.service != "ec2":
        request.authorize(request.emulator.authority.needs(request))
        return handler(request)
    instances = request.emulator.instances
    if call.action in LAUNCHES:
        with instances.lock(call.region):
            return handler(request)
    request.authorize(request.emulator.authority.needs(request))
    if str(call.params.get("DryRun", "")).lower() == "true":
        raise dry_run()
    tokens = request.emulator.tokens

    def execute() -> Answer:
        with instances.lock(call.region):
            return handler(request)

    if (call.service, call.action) in _table():
        return handler(request)
    return tokens.once(call.region, call.action, call.params, execute)


def dry_run() -> AwsError:
    """What EC2 answers to a DryRun that would have succeeded."""
    return AwsError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
