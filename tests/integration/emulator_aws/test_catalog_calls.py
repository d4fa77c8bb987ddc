"""What the catalog reads: types, offerings, prices, quotas, images."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from support.emulated_aws import DLAMI, Aws, code_of

USUAL = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "capacitystatus": "Used",
    "preInstalledSw": "NA",
    "marketoption": "OnDemand",
}


def prices(aws: Aws, **fields: str) -> dict[str, Decimal]:
    """Type to price, for products that match; a type that comes twice is a mistake."""
    filters = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in fields.items()]
    pages = aws.client("pricing").get_paginator("get_products")
    found: dict[str, Decimal] = {}
    for page in pages.paginate(ServiceCode="AmazonEC2", Filters=filters):
        for text in page["PriceList"]:
            item = json.loads(text)
            name = item["product"]["attributes"]["instanceType"]
            assert name not in found, f"{name} twice"
            (term,) = item["terms"]["OnDemand"].values()
            (dimension,) = term["priceDimensions"].values()
            found[name] = Decimal(dimension["pricePerUnit"]["USD"])
    return found


def test_known_prices(aws: Aws) -> None:
    found = prices(aws, regionCode="us-east-1", **USUAL)
    known = {
        "p2.xlarge": "0.9",
        "g4dn.xlarge": "0.526",
        "t3.micro": "0.0104",
        "m5.large": "0.096",
        "p3.2xlarge": "3.06",
        "p4d.24xlarge": "32.7726",
    }
    assert {name: found[name] for name in known} == {k: Decimal(v) for k, v in known.items()}
    assert len(found) > 1000
    assert all(price > 0 for price in found.values())


def test_each_usual_filter_leaves_something_out(aws: Aws) -> None:
    one = {"regionCode": "us-east-1", "instanceType": "m5.large"}
    assert len(prices(aws, **one, **USUAL)) == 1
    for field in ("operatingSystem", "tenancy", "capacitystatus", "preInstalledSw"):
        rest = {k: v for k, v in USUAL.items() if k != field}
        with pytest.raises(AssertionError, match="twice"):
            prices(aws, **one, **rest)


def test_pricing_has_few_endpoints(aws: Aws) -> None:
    far = aws.client("pricing", region="eu-west-2")
    assert code_of(far.get_products, ServiceCode="AmazonEC2")[0] == "UnknownEndpoint"


def test_types_are_paged_and_are_those_of_the_region(aws: Aws) -> None:
    found = {}
    for region in ("us-east-1", "eu-north-1"):
        ec2 = aws.client("ec2", region=region)
        pages = ec2.get_paginator("describe_instance_types").paginate()
        found[region] = {t["InstanceType"]: t for p in pages for t in p["InstanceTypes"]}
        offered = {
            row["InstanceType"]
            for page in ec2.get_paginator("describe_instance_type_offerings").paginate()
            for row in page["InstanceTypeOfferings"]
        }
        assert set(found[region]) == offered
    assert "p2.xlarge" in found["us-east-1"]
    assert "p2.xlarge" not in found["eu-north-1"]
    k80 = found["us-east-1"]["p2.xlarge"]
    assert k80["GpuInfo"]["Gpus"] == [
        {"Name": "K80", "Manufacturer": "NVIDIA", "Count": 1, "MemoryInfo": {"SizeInMiB": 12288}}
    ]
    assert (k80["VCpuInfo"]["DefaultVCpus"], k80["MemoryInfo"]["SizeInMiB"]) == (4, 61 * 1024)
    a100 = found["us-east-1"]["p4d.24xlarge"]["GpuInfo"]["Gpus"][0]
    assert (a100["Name"], a100["Count"]) == ("A100", 8)


def test_an_unknown_type_is_an_error(ec2: Any) -> None:
    asked = {"InstanceTypes": ["m5.large", "m5.enormous"]}
    assert code_of(ec2.describe_instance_types, **asked) == ("InvalidInstanceType", 400)


def test_filters_of_types(ec2: Any) -> None:
    filters = [
        {"Name": "instance-type", "Values": ["g4dn.*"]},
        {"Name": "vcpu-info.default-vcpus", "Values": ["4"]},
    ]
    found = ec2.describe_instance_types(Filters=filters)["InstanceTypes"]
    assert [t["InstanceType"] for t in found] == ["g4dn.xlarge"]


def test_only_availability_zones_are_there(ec2: Any) -> None:
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    assert {z["ZoneType"] for z in zones} == {"availability-zone"}
    assert all(z["ZoneId"] for z in zones)
    pages = ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone"
    )
    places = {o["Location"] for page in pages for o in page["InstanceTypeOfferings"]}
    assert places == {z["ZoneName"] for z in zones}


def _history(ec2: Any, **more: Any) -> list[dict[str, Any]]:
    asked = {"InstanceTypes": ["g4dn.xlarge"], "ProductDescriptions": ["Linux/UNIX"], **more}
    pages = ec2.get_paginator("describe_spot_price_history").paginate(**asked)
    return [row for page in pages for row in page["SpotPriceHistory"]]


def test_spot_prices_differ_by_zone_and_stay_below_on_demand(ec2: Any) -> None:
    rows = _history(ec2, StartTime=datetime.now(UTC))
    zones = [r["AvailabilityZone"] for r in rows]
    assert len(zones) == len(set(zones)) > 2
    found = {Decimal(r["SpotPrice"]) for r in rows}
    assert len(found) > 1
    assert all(Decimal("0.05") < price < Decimal("0.526") for price in found)
    again = _history(ec2, StartTime=datetime.now(UTC))
    assert [r["SpotPrice"] for r in again] == [r["SpotPrice"] for r in rows]


def test_spot_prices_change_with_time(ec2: Any) -> None:
    start = datetime.now(UTC) - timedelta(days=2)
    rows = [r for r in _history(ec2, StartTime=start) if r["AvailabilityZone"] == "us-east-1a"]
    times = [r["Timestamp"] for r in rows]
    assert times == sorted(times, reverse=True)
    assert 8 <= len(rows) <= 10
    assert len({r["SpotPrice"] for r in rows}) > 3
    # The last is the one in force when the time asked for began.
    assert times[-1] <= start < times[-2]


def test_a_spot_price_can_be_set(aws: Aws, ec2: Any) -> None:
    body = {"instance_type": "g4dn.xlarge", "zone": "us-east-1b", "price": "0.001"}
    aws.control("POST", "spot-price", body)
    rows = _history(ec2, StartTime=datetime.now(UTC))
    found = {r["AvailabilityZone"]: Decimal(r["SpotPrice"]) for r in rows}
    assert found["us-east-1b"] == Decimal("0.001")
    assert found["us-east-1a"] > Decimal("0.05")


def test_images_by_parameter_are_known_to_ec2(aws: Aws) -> None:
    stock = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
    ids = {}
    for region in ("us-east-1", "eu-west-1"):
        ssm, ec2 = aws.client("ssm", region=region), aws.client("ec2", region=region)
        answer = ssm.get_parameters(Names=[DLAMI, stock, "/aws/service/nothing"])
        assert answer["InvalidParameters"] == ["/aws/service/nothing"]
        values = {p["Name"]: p["Value"] for p in answer["Parameters"]}
        ids[region] = set(values.values())
        for name, size in ((DLAMI, 45), (stock, 8)):
            (image,) = ec2.describe_images(ImageIds=[values[name]])["Images"]
            assert image["RootDeviceName"] == "/dev/sda1"
            assert image["Architecture"] == "x86_64"
            (device,) = image["BlockDeviceMappings"]
            assert (device["DeviceName"], device["Ebs"]["VolumeSize"]) == ("/dev/sda1", size)
    assert not ids["us-east-1"] & ids["eu-west-1"]


def test_quotas_are_listed_with_new_accounts_defaults(aws: Aws) -> None:
    quotas = aws.client("service-quotas")
    pages = quotas.get_paginator("list_service_quotas").paginate(
        ServiceCode="ec2", PaginationConfig={"PageSize": 5}
    )
    values = {q["QuotaCode"]: q["Value"] for page in pages for q in page["Quotas"]}
    for code in ("L-DB2E81BA", "L-3819A6DF", "L-417A185B", "L-7212CCBC", "L-34B43A08"):
        assert values[code] > 0
    default = quotas.get_aws_default_service_quota(ServiceCode="ec2", QuotaCode="L-3819A6DF")
    assert default["Quota"]["Value"] == 0
    missing = {"ServiceCode": "ec2", "QuotaCode": "L-00000000"}
    assert code_of(quotas.get_service_quota, **missing)[0] == "NoSuchResourceException"
