"""Whether a pool gives a machine: its capacity, the account's quota, the price offered."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from moto_fixtures.aws.answer import AwsError
from moto_fixtures.aws.backends import ACCOUNT
from moto_fixtures.aws.ec2 import offerings
from moto_fixtures.aws.ec2.spec import Spec
from moto_fixtures.aws.iam.policy import Needed
from moto_fixtures.aws.iam.roles import SPOT_ROLE, SPOT_SERVICE, has_spot_role, make_spot_role
from moto_fixtures.aws.request import Request
from moto_fixtures.shared.faults import Fault, matches


def pool_attributes(request: Request, spec: Spec) -> dict[str, Any]:
    """What a fault's ``match`` may name of one pool."""
    return {
        "instance_type": spec.instance_type,
        "zone": spec.zone,
        "subnet": spec.subnet.id,
        "spot": spec.spot,
        "region": spec.region,
        "principal": request.principal.name,
        "access_key": request.call.access_key,
        "service": "ec2",
    }


def capacity_message(spec: Spec) -> str:
    """EC2's words for a pool that is empty."""
    if spec.spot:
        return "There is no Spot capacity available that matches your request."
    return (
        f"We currently do not have sufficient {spec.instance_type} capacity in the Availability "
        f"Zone you requested ({spec.zone}). Our system will be working on provisioning "
        "additional capacity."
    )


def struck(faults: list[Fault], request: Request, spec: Spec) -> Fault | None:
    """The fault that empties this pool, if a test asked for one."""
    attributes = pool_attributes(request, spec)
    return next((f for f in faults if matches(f, request.call.action, attributes)), None)


def check_pool(request: Request, spec: Spec, max_price: str | None) -> None:
    """Raise what EC2 would where quota, usage class, price or the spot role forbid it."""
    emulator = request.emulator
    info = offerings.type_info(spec.instance_type)
    usage = "spot" if spec.spot else "on-demand"
    if usage not in info.get("SupportedUsageClasses", ["on-demand", "spot"]):
        raise AwsError(
            "Unsupported", f"{spec.instance_type} does not support the usage class {usage}."
        )
    if spec.spot:
        ensure_spot_role(request)
        price = emulator.spot_prices.current(spec.region, spec.zone, spec.instance_type)
        if max_price is not None and Decimal(max_price) < price:
            raise AwsError(
                "SpotMaxPriceTooLow",
                f"Your Spot request price of {max_price} is lower than the minimum required "
                f"Spot request fulfillment price of {price}.",
            )
    emulator.quotas.check(spec.region, spec.instance_type, spec.spot, emulator.instances.known())


def ensure_spot_role(request: Request) -> None:
    """Spot needs its service-linked role: made at the first use by whoever may make it.

    docs.aws.amazon.com/AWSEC2/latest/UserGuide/service-linked-roles-spot-instance-requests.html
    """
    if has_spot_role():
        return
    arn = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{SPOT_SERVICE}/{SPOT_ROLE}"
    needed = Needed("iam:CreateServiceLinkedRole", arn, {"iam:awsservicename": [SPOT_SERVICE]})
    if not request.allowed([needed]):
        raise AwsError(
            "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
            "The provided credentials do not have permission to create the service-linked role "
            "for EC2 Spot Instances.",
        )
    make_spot_role()
