"""Emulated prices, USD an hour. None of these is to be read as what AWS asks today.

For the well-known types the figures are those that AWS published for us-east-1 at some time, so
that a plan looks familiar. The rest is derived from size and GPUs and only plausible.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache

from moto_fixtures.aws.ec2 import offerings

_KNOWN = {
    "t2.micro": "0.0116",
    "t3.nano": "0.0052",
    "t3.micro": "0.0104",
    "t3.small": "0.0208",
    "t3.medium": "0.0416",
    "t3.large": "0.0832",
    "t3.xlarge": "0.1664",
    "t3.2xlarge": "0.3328",
    "p2.xlarge": "0.9",
    "p2.8xlarge": "7.2",
    "p2.16xlarge": "14.4",
    "p3.2xlarge": "3.06",
    "p3.8xlarge": "12.24",
    "p3.16xlarge": "24.48",
    "p3dn.24xlarge": "31.212",
    "p4d.24xlarge": "32.7726",
    "p4de.24xlarge": "40.96565",
    "p5.48xlarge": "98.32",
    "g3s.xlarge": "0.75",
    "g3.4xlarge": "1.14",
    "g3.8xlarge": "2.28",
    "g3.16xlarge": "4.56",
    "g4dn.xlarge": "0.526",
    "g4dn.2xlarge": "0.752",
    "g4dn.4xlarge": "1.204",
    "g4dn.8xlarge": "2.176",
    "g4dn.12xlarge": "3.912",
    "g4dn.16xlarge": "4.352",
    "g4dn.metal": "7.824",
    "g5.xlarge": "1.006",
    "g5.2xlarge": "1.212",
    "g5.4xlarge": "1.624",
    "g5.8xlarge": "2.448",
    "g5.12xlarge": "5.672",
    "g5.16xlarge": "4.096",
    "g5.24xlarge": "8.144",
    "g5.48xlarge": "16.288",
    "g6.xlarge": "0.8048",
    "g6.2xlarge": "0.9776",
    "g6.4xlarge": "1.3232",
    "g6.12xlarge": "4.6016",
    "g6.48xlarge": "13.3504",
}
# By the virtual CPU, for families whose price is proportional to size.
_FAMILY = {
    "m5": "0.048",
    "m5a": "0.043",
    "m6i": "0.048",
    "m6a": "0.0432",
    "m7i": "0.0504",
    "c5": "0.0425",
    "c5a": "0.0385",
    "c6i": "0.0425",
    "c7i": "0.044625",
    "r5": "0.063",
    "r6i": "0.063",
    "r7i": "0.06615",
    "m6g": "0.0385",
    "c6g": "0.034",
    "r6g": "0.0504",
}
_GPU = {
    "K80": "0.72",
    "M60": "0.6",
    "T4": "0.36",
    "A10G": "0.8",
    "L4": "0.6",
    "V100": "2.6",
    "A100": "3.3",
    "H100": "10.5",
    "H200": "11.5",
    "B200": "14",
}
_REGION = {
    "us-east-1": "1",
    "us-east-2": "1",
    "us-west-2": "1",
    "us-west-1": "1.17",
    "ca-central-1": "1.11",
    "eu-west-1": "1.11",
    "eu-west-2": "1.16",
    "eu-west-3": "1.17",
    "eu-central-1": "1.19",
    "eu-north-1": "1.06",
    "ap-south-1": "1.05",
    "ap-southeast-1": "1.25",
    "ap-southeast-2": "1.25",
    "ap-northeast-1": "1.29",
    "sa-east-1": "1.59",
}


def _base(name: str) -> Decimal:
    if name in _KNOWN:
        return Decimal(_KNOWN[name])
    info = offerings.type_info(name)
    cpus = Decimal(offerings.vcpus(name))
    family = name.split(".")[0]
    if family in _FAMILY:
        return Decimal(_FAMILY[family]) * cpus
    memory = Decimal(int(info["MemoryInfo"]["SizeInMiB"])) / 1024
    count, gpu = offerings.gpus(name)
    extra = Decimal(_GPU.get(gpu or "", "0.9")) * count
    return cpus * Decimal("0.0165") + memory * Decimal("0.0019") + extra


@cache
def on_demand(region: str, name: str) -> Decimal:
    """Linux, shared tenancy, USD an hour, to six decimals."""
    price = _base(name) * Decimal(_REGION.get(region, "1.2"))
    return price.quantize(Decimal("0.000001")).normalize()


def plain(price: Decimal) -> str:
    """Without an exponent."""
    return format(price, "f")
