"""The account's vCPU quotas, and what they forbid.

Codes: docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html and the Service
Quotas console (service ``ec2``). Which families a quota counts is in its name there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from typing import Any

from dstack_cloud.clouds.aws.errors import code_of, translated
from dstack_cloud.resources import Offer

STANDARD, G, P = "standard", "G and VT", "P"
# (family group, spot) -> quota code
CODES: dict[tuple[str, bool], str] = {
    (G, False): "L-DB2E81BA",
    (G, True): "L-3819A6DF",
    (P, False): "L-417A185B",
    (P, True): "L-7212CCBC",
    (STANDARD, False): "L-1216C47A",
    (STANDARD, True): "L-34B43A08",
}
_STANDARD_FAMILIES = {"a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"}
_G_FAMILIES = {"g", "gr", "vt"}
_LETTERS = re.compile(r"[a-z]+")

Limits = Mapping[tuple[str, bool], int]
"""(family group, spot) to the vCPUs that may run at the same time; absent where not known."""


def family_group(machine: str) -> str | None:
    """Which quota counts an instance type; None where it is none of those in `CODES`."""
    found = _LETTERS.match(machine)
    family = found[0] if found else ""
    if family in _STANDARD_FAMILIES:
        return STANDARD
    if family in _G_FAMILIES:
        return G
    return P if family == "p" else None


def needed(offers: Iterable[Offer]) -> set[tuple[str, bool]]:
    """Which limits the offers are held against."""
    kinds = {(family_group(offer.machine), offer.spot) for offer in offers}
    return {(group, spot) for group, spot in kinds if group is not None}


def vcpu_limits(
    client: Any, region: str, pool: Executor, which: Iterable[tuple[str, bool]] = tuple(CODES)
) -> dict[tuple[str, bool], int]:
    """The limits of a region, all asked at once; ``client`` is that of Service Quotas.

    A quota that Service Quotas does not tell is left out. Raises PermissionDeniedError and the
    like.
    """
    from botocore.exceptions import ClientError

    def read(code: str) -> int | None:
        with translated("reading the quotas", region):
            try:
                answer = client.get_service_quota(ServiceCode="ec2", QuotaCode=code)
            except ClientError as error:
                if code_of(error) == "NoSuchResourceException":
                    return None
                raise
        return int(answer["Quota"]["Value"])

    keys = list(which)
    values = pool.map(read, [CODES[key] for key in keys])
    return {key: value for key, value in zip(keys, values, strict=True) if value is not None}


def allowed(offer: Offer, limits: Limits, nodes: int = 1) -> str | None:
    """Why the quota forbids so many machines of an offer, in words; None when it does not, or is
    not known."""
    group = family_group(offer.machine)
    if group is None:
        return None
    limit = limits.get((group, offer.spot))
    if limit is None or offer.cpu * nodes <= limit:
        return None
    return f"quota: {limit} vCPUs of {described(group, offer.spot)} in {offer.region}"


def described(group: str, spot: bool) -> str:
    """``spot G and VT instances``."""
    return f"{'spot' if spot else 'on-demand'} {group} instances"


def how_to_raise(group: str, spot: bool, region: str, wanted: int) -> str:
    """The command and the console page that ask AWS for more."""
    code = CODES[(group, spot)]
    return (
        f"aws service-quotas request-service-quota-increase --service-code ec2 --quota-code {code} "
        f"--desired-value {wanted} --region {region}\n"
        f"or https://{region}.console.aws.amazon.com/servicequotas/home/services/ec2/quotas/{code}"
    )
