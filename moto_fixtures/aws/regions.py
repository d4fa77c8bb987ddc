"""What a region of the emulated account holds before anyone calls it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from moto_fixtures.aws.ec2.images import seed_images, seed_parameters
from moto_fixtures.aws.iam import roles

if TYPE_CHECKING:
    from moto_fixtures.aws.emulator import Emulator

WARM_REGIONS = ("us-east-1", "us-west-2")

_lock = threading.Lock()
_seeded: set[str] = set()


def seed(region: str) -> None:
    """Images and their parameters, once for each region."""
    if region in _seeded:
        return
    with _lock:
        if region not in _seeded:
            seed_images(region)
            seed_parameters(region)
            _seeded.add(region)


def warm(emulator: Emulator) -> None:
    """Do now what the first calls would otherwise wait for."""
    from moto.core.routing import get_service_router

    from moto_fixtures.aws.answer import protocol_of
    from moto_fixtures.aws.ec2 import offerings

    emulator.moto.warm(WARM_REGIONS)
    for region in WARM_REGIONS:
        seed(region)
        offerings.offered(region)
    for service in ("ec2", "s3", "iam", "sts", "ssm", "pricing", "service-quotas"):
        protocol_of(service)
    get_service_router("s3")
    roles.make_spot_role()
