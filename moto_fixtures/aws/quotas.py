"""Service quotas of EC2: vCPUs by class of instance, on demand and spot.

Codes: docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from moto_fixtures.aws.answer import Answer, AwsError
from moto_fixtures.aws.backends import ACCOUNT
from moto_fixtures.aws.ec2 import offerings
from moto_fixtures.aws.paging import page_token, read_page
from moto_fixtures.aws.request import Request


@dataclass(frozen=True)
class Quota:
    """One quota; ``families`` are the leading letters of the types it counts."""

    code: str
    name: str
    spot: bool
    families: frozenset[str]
    value: float
    default: float


def _two(
    demand: str, spot: str, words: str, families: set[str], value: float, default: float
) -> list[Quota]:
    of = frozenset(families)
    return [
        Quota(demand, f"Running On-Demand {words} instances", False, of, value, default),
        Quota(
            spot,
            f"All {words} Spot Instance Requests",
            True,
            of,
            value,
            0 if default == 0 else default,
        ),
    ]


# The emulated account is one that has asked for more; ``default`` is what AWS starts with.
QUOTAS = [
    *_two(
        "L-1216C47A",
        "L-34B43A08",
        "Standard (A, C, D, H, I, M, R, T, Z)",
        {"a", "c", "d", "h", "i", "m", "r", "t", "z", "im", "is"},
        2560.0,
        5.0,
    ),
    *_two("L-DB2E81BA", "L-3819A6DF", "G and VT", {"g", "gr", "vt"}, 1024.0, 0.0),
    *_two("L-417A185B", "L-7212CCBC", "P", {"p"}, 1024.0, 0.0),
    *_two("L-74FC7D96", "L-88CF9481", "F", {"f"}, 256.0, 0.0),
    *_two("L-7295265B", "L-E3A00192", "X", {"x", "u"}, 256.0, 0.0),
    *_two("L-1945791B", "L-B5D1601B", "Inf", {"inf"}, 256.0, 0.0),
    *_two("L-2C3B7624", "L-6B0D517C", "Trn", {"trn"}, 256.0, 0.0),
    *_two("L-6E869C2A", "L-85EED4F7", "DL", {"dl"}, 192.0, 0.0),
]


def family(instance_type: str) -> str:
    """The leading letters of a type's name: ``g`` of ``g4dn.xlarge``."""
    word = instance_type.split(".")[0]
    letters = ""
    for c in word:
        if not c.isalpha():
            break
        letters += c
    return letters


def quota_of(instance_type: str, spot: bool) -> Quota | None:
    """The quota that counts a type; None for families that none of these count."""
    mine = family(instance_type)
    return next((q for q in QUOTAS if q.spot == spot and mine in q.families), None)


class Quotas:
    """Values by region and code, which the control interface may set."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._set: dict[tuple[str, str], float] = {}

    def value(self, region: str, quota: Quota) -> float:
        """vCPUs allowed."""
        with self._lock:
            for key in ((region, quota.code), ("*", quota.code)):
                if key in self._set:
                    return self._set[key]
        return quota.value

    def set(self, code: str, value: float, region: str = "*") -> None:
        """Adjust one quota in one region or in all; ValueError for an unknown code."""
        if all(q.code != code for q in QUOTAS):
            raise ValueError(f"unknown quota code {code}")
        with self._lock:
            self._set[(region, code)] = value

    def reset(self) -> None:
        """Back to what the account started with."""
        with self._lock:
            self._set.clear()

    def check(self, region: str, instance_type: str, spot: bool, instances: list[Any]) -> None:
        """Raise EC2's error where one more of this type would exceed the quota."""
        quota = quota_of(instance_type, spot)
        if quota is None:
            return
        used = sum(
            offerings.vcpus(i.instance_type)
            for i in instances
            if i.region_name == region
            and i.state in ("pending", "running")
            and (i.lifecycle == "spot") == spot
            and quota_of(i.instance_type, spot) == quota
        )
        limit = self.value(region, quota)
        if used + offerings.vcpus(instance_type) <= limit:
            return
        if spot:
            raise AwsError("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
        raise AwsError(
            "VcpuLimitExceeded",
            f"You have requested more vCPU capacity than your current vCPU limit of {limit:g} "
            "allows for the instance bucket that the specified instance type belongs to. Please "
            "visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this "
            "limit.",
        )


def _shape(region: str, quota: Quota, value: float) -> dict[str, Any]:
    return {
        "ServiceCode": "ec2",
        "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
        "QuotaArn": f"arn:aws:servicequotas:{region}:{ACCOUNT}:ec2/{quota.code}",
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "Value": value,
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }


def _named(request: Request) -> Quota:
    for quota in QUOTAS:
        if quota.code == request.params.get("QuotaCode"):
            return quota
    raise AwsError(
        "NoSuchResourceException", "The request failed because the specified quota does not exist."
    )


def _service(request: Request) -> None:
    if request.params.get("ServiceCode") != "ec2":
        raise AwsError("NoSuchResourceException", "the emulated account has quotas for ec2 only")


def get_service_quota(request: Request) -> Answer:
    """The value that applies."""
    _service(request)
    quota = _named(request)
    value = request.emulator.quotas.value(request.region, quota)
    return request.answer({"Quota": _shape(request.region, quota, value)})


def get_default(request: Request) -> Answer:
    """The value that a new account starts with."""
    _service(request)
    quota = _named(request)
    return request.answer({"Quota": _shape(request.region, quota, quota.default)})


def _list(request: Request, default: bool) -> Answer:
    _service(request)
    size = int(request.params.get("MaxResults") or 100)
    start = read_page(request.params.get("NextToken"), "InvalidPaginationTokenException")
    values = request.emulator.quotas
    rows = [
        _shape(request.region, q, q.default if default else values.value(request.region, q))
        for q in QUOTAS
    ]
    page: dict[str, Any] = {"Quotas": rows[start : start + size]}
    if len(rows) > start + size:
        page["NextToken"] = page_token(start + size)
    return request.answer(page)


def list_service_quotas(request: Request) -> Answer:
    """All values that apply."""
    return _list(request, False)


def list_defaults(request: Request) -> Answer:
    """All values that a new account starts with."""
    return _list(request, True)


HANDLERS = {
    "GetServiceQuota": get_service_quota,
    "GetAWSDefaultServiceQuota": get_default,
    "ListServiceQuotas": list_service_quotas,
    "ListAWSDefaultServiceQuotas": list_defaults,
}
