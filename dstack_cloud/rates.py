"""What a cloud asks for a machine's disk and public address: constants, with their sources.

AWS, USD, as published; a region that is not in the table has an unknown price.
- A public IPv4 address: 0.005 an hour everywhere, since 1 February 2024
  (https://aws.amazon.com/vpc/pricing/).
- gp3 storage by GB and month (https://aws.amazon.com/ebs/pricing/), put together by hand in
  November 2026 from tables of that page which others have published; nobody here has held them
  against AWS's own price list since. A month is 30 days, as in AWS's own
  examples there; the throughput and operations that come with a volume are free, and we ask for no
  more.

Google Cloud, USD, as published, put together by hand in November 2026; likewise unknown elsewhere.
- An external IPv4 address in use: 0.005 an hour on a standard machine, 0.0025 on a spot machine,
  everywhere (https://cloud.google.com/vpc/network-pricing, "External IP Charge on a … VM").
- pd-balanced by GiB and month (https://cloud.google.com/compute/disks-image-pricing), as in the
  price list of March 2025 that the project google-cloud-pricing-cost-calculator (Apache-2.0) reads
  from Google's own price API. A month is 730 hours, as on Google's
  pages. A machine that boots from Hyperdisk Balanced, as the newest series do, pays by its
  operations and throughput, too: that is not in here.
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
        "0.0924": "eu-south-1",
        "0.0928": "eu-west-2 eu-west-3",
        "0.0952": "eu-central-1",
        "0.096": "ap-northeast-1 ap-northeast-3 ap-southeast-1 ap-southeast-2 us-west-1",
        "0.0968": "me-south-1",
        "0.1047": "af-south-1",
        "0.1056": "ap-east-1",
        "0.152": "sa-east-1",
    }.items()
    for region in regions.split()
}

GCP_ADDRESS, GCP_SPOT_ADDRESS = Decimal("0.005"), Decimal("0.0025")
GCP_HOURS_A_MONTH = 730
_GCP_BALANCED = {
    region: Decimal(price)
    for price, regions in {
        "0.10": "asia-east1 europe-north2 europe-west1 us-central1 us-east1 us-east5 us-west1",
        "0.109": "northamerica-south1",
        "0.11": "asia-east2 asia-southeast1 europe-north1 europe-west4 me-west1"
        " northamerica-northeast1 northamerica-northeast2 us-east4 us-west4",
        "0.116": "europe-west8 europe-west9",
        "0.12": "asia-south1 asia-south2 europe-southwest1 europe-west12 europe-west2 europe-west3"
        " us-south1 us-west2 us-west3",
        "0.1215": "me-central1",
        "0.13": "asia-northeast1 asia-northeast2 asia-northeast3 asia-southeast2 europe-central2"
        " europe-west6",
        "0.1308": "africa-south1",
        "0.135": "australia-southeast1 australia-southeast2",
        "0.143": "southamerica-west1",
        "0.15": "southamerica-east1",
        "0.154": "europe-west10",
        "0.16": "me-central2",
    }.items()
    for region in regions.split()
}


def rates(
    cloud: str,
    region: str,
    price: Decimal | None,
    disk: int | None,
    public: bool | None,
    spot: bool = False,
) -> Rates:
    """USD an hour of a machine that costs ``price`` itself.

    ``disk`` is bytes, ``public`` whether it has a public address; None where not known.
    """
    if cloud == "aws":
        month, hours, address = _AWS_GP3.get(region), HOURS_A_MONTH, AWS_ADDRESS
    elif cloud == "gcp":
        month, hours = _GCP_BALANCED.get(region), GCP_HOURS_A_MONTH
        address = GCP_SPOT_ADDRESS if spot else GCP_ADDRESS
    else:
        free = Decimal(0) if cloud == "local" else None
        return Rates(price, free, free)
    return Rates(
        price,
        None if disk is None or month is None else month * disk / GIB / hours,
        None if public is None else address * public,
    )
