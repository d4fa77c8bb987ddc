"""DescribeInstanceTypes and DescribeInstanceTypeOfferings, of the region, paged, and fast."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from moto_fixtures.aws.answer import Answer, AwsError
from moto_fixtures.aws.ec2 import offerings
from moto_fixtures.aws.ec2.xml import ec2_xml, item_xml
from moto_fixtures.aws.paging import page_token, read_page
from moto_fixtures.aws.request import Request


@cache
def _type_xml(name: str) -> str:
    return item_xml("DescribeInstanceTypes", "InstanceTypes", offerings.all_types()[name])


@cache
def _wrapped(name: str) -> Any:
    """moto's own type, for its knowledge of filters, around data that moto may not have."""
    from moto.ec2.models.instance_types import InstanceType

    wrapped = InstanceType.__new__(InstanceType)
    wrapped.update(offerings.all_types()[name])
    return wrapped


def _filters(request: Request) -> dict[str, list[str]]:
    return {f["Name"]: list(f.get("Values") or []) for f in request.params.get("Filters") or []}


def _matches(value: Any, wanted: list[str]) -> bool:
    values = value if isinstance(value, list) else [value]
    return any(v is not None and fnmatchcase(str(v), w) for v in values for w in wanted)


def describe_instance_types(request: Request) -> Answer:
    """Of what the region offers; an unknown name is InvalidInstanceType."""
    params = request.params
    here = offerings.offered(request.region)
    asked = params.get("InstanceTypes") or []
    if asked and params.get("MaxResults"):
        raise AwsError(
            "InvalidParameterCombination",
            "The parameter InstanceTypes cannot be used with the parameter MaxResults",
        )
    unknown = [name for name in asked if name not in here]
    if unknown:
        raise AwsError(
            "InvalidInstanceType",
            f"The following supplied instance types do not exist: [{', '.join(unknown)}]",
        )
    names = [name for name in here if not asked or name in set(asked)]
    for name, values in _filters(request).items():
        names = [n for n in names if _matches(_filter_value(n, name), values)]
    size = int(params.get("MaxResults") or 100)
    if not 5 <= size <= 100:
        raise AwsError("InvalidParameterValue", "MaxResults is from 5 to 100")
    start = read_page(params.get("NextToken"), "InvalidNextToken")
    page = names if asked else names[start : start + size]
    more = not asked and len(names) > start + size
    return ec2_xml(
        "DescribeInstanceTypes",
        {"NextToken": page_token(start + size) if more else None},
        {"InstanceTypes": [_type_xml(n) for n in page]},
    )


def _filter_value(name: str, filter_name: str) -> Any:
    if filter_name == "instance-type":
        return name
    return _wrapped(name).get_filter_value(filter_name)


@cache
def _offering_rows(region: str, kind: str) -> list[tuple[str, str, str]]:
    """(type, location, XML) of every offering; Local and Wavelength zones are not there."""
    zones = offerings.zones_of(region)
    rows = []
    for name, offered in offerings.offered(region).items():
        if kind == "region":
            places = [region]
        elif kind == "availability-zone-id":
            places = [zones[z] for z in offered]
        else:
            places = list(offered)
        for place in places:
            row = {"InstanceType": name, "LocationType": kind, "Location": place}
            text = item_xml("DescribeInstanceTypeOfferings", "InstanceTypeOfferings", row)
            rows.append((name, place, text))
    return rows


def describe_instance_type_offerings(request: Request) -> Answer:
    """By region, zone or zone id."""
    params = request.params
    kind = params.get("LocationType") or "region"
    if kind not in ("region", "availability-zone", "availability-zone-id"):
        raise AwsError("InvalidParameterValue", f"The emulated EC2 has no LocationType {kind}")
    rows = _offering_rows(request.region, kind)
    for name, values in _filters(request).items():
        if name not in ("instance-type", "location"):
            raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid")
        column = 0 if name == "instance-type" else 1
        exact = {v for v in values if not set(v) & set("*?[")}
        patterns = [v for v in values if v not in exact]
        rows = [
            r
            for r in rows
            if r[column] in exact or any(fnmatchcase(r[column], p) for p in patterns)
        ]
    size = int(params.get("MaxResults") or 1000)
    if not 5 <= size <= 1000:
        raise AwsError("InvalidParameterValue", "MaxResults is from 5 to 1000")
    start = read_page(params.get("NextToken"), "InvalidNextToken")
    more = len(rows) > start + size
    return ec2_xml(
        "DescribeInstanceTypeOfferings",
        {"NextToken": page_token(start + size) if more else None},
        {"InstanceTypeOfferings": [r[2] for r in rows[start : start + size]]},
    )


HANDLERS = {
    "DescribeInstanceTypes": describe_instance_types,
    "DescribeInstanceTypeOfferings": describe_instance_type_offerings,
}
