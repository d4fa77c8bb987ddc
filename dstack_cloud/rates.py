"""What a cloud asks for a machine's disk and public address: constants, with their sources.

AWS, USD, as published; a region that is not in the table has an unknown price.
- A public IPv4 address: 0.005 an hour everywhere, since 1 February 2024
  (https://aws.amazon.com/vpc/pricing/).
- gp3 storage by GB and month (https://aws.amazon.com/ebs/pricing/), put together by hand in
  November 2026; us-east-1 and ap-southeast-1 were compared with copies of AWS's price list, the
  others are to be compared when somebody has the list at hand. A month is 30 days, as in AWS's own
  examples there; the throughput and operations that come with a volume are free, and we ask for no
  more.
"""

from __future__ import annotations

from decimal import Decimal

from dstack_cloud.cost import Rates
from dstack_cloud.units import GIB

AWS_ADDRESS = Decimal("0.005")
HOURS_A_MONTH = 30 * 24
DEFAULT_DISK = 100 * GIB
"""What a machine gets beside its image where the request names no disk."""

_AWS_GP3 = {
    region: Decimal(price)
    for price, regions in {
        "0.08": "us-east-1 us-east-2 us-west-2",
        "0.0836": "eu-north-1",
        "0.088": "ca-central-1 eu-west-1",
        "0.0912": "ap-northeast-2 ap-south-1",
        "0.0928": "eu-west-2 eu-west-3",
        "0.0952": "eu-central-1",
        "0.096": "ap-northeast-1 ap-southeast-1 ap-southeast-2 us-west-1",
        "0.152": "sa-east-1",
    }.items()
    for region in regions.split()
}


def rates(
    cloud: str, region: str, price: Decimal | None, disk: int | None, public: bool | None
) -> Rates:
    """USD an hour of a machine that costs ``price`` itself.

    ``disk`` is bytes, ``public`` whether it has a public address; None where not known.
    """
    if cloud != "aws":
        free = Decimal(0) if cloud == "local" else None
        return Rates(price, free, free)
    month = _AWS_GP3.get(region)
    return Rates(
        price,
        None if disk is None or month is None else month * disk / GIB / HOURS_A_MONTH,
        None if public is None else AWS_ADDRESS * public,
    )
