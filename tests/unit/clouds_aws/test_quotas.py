"""What the quotas forbid."""

from __future__ import annotations

from typing import Any

import pytest

from dstack_cloud.clouds.aws.quotas import CODES, allowed, family_group, how_to_raise


@pytest.mark.parametrize(
    ("machine", "group"),
    [
        ("g4dn.xlarge", "G and VT"),
        ("gr6.4xlarge", "G and VT"),
        ("vt1.3xlarge", "G and VT"),
        ("p4d.24xlarge", "P"),
        ("p2.xlarge", "P"),
        ("m7i-flex.large", "standard"),
        ("t3.micro", "standard"),
        ("im4gn.large", "standard"),
        ("is4gen.large", "standard"),
        ("inf2.xlarge", None),
        ("trn1.2xlarge", None),
        ("x2idn.16xlarge", None),
        ("mac2.metal", None),
        ("hpc6a.48xlarge", None),
        ("dl1.24xlarge", None),
    ],
)
def test_families(machine: str, group: str | None) -> None:
    assert family_group(machine) == group


def test_a_quota_of_zero_forbids_and_says_so(offer: Any) -> None:
    limits = {("G and VT", True): 0, ("G and VT", False): 8}
    expected = "quota: 0 vCPUs of spot G and VT instances in us-east-1"
    assert allowed(offer("g4dn.xlarge"), limits) == expected
    assert allowed(offer("g4dn.xlarge", spot=False), limits) is None


def test_a_machine_as_large_as_the_quota_is_allowed(offer: Any) -> None:
    limits = {("P", True): 96}
    assert allowed(offer("p4d.24xlarge", cpu=96), limits) is None
    assert allowed(offer("p5.48xlarge", cpu=192), limits) is not None


def test_what_is_not_known_forbids_nothing(offer: Any) -> None:
    assert allowed(offer("g4dn.xlarge"), {}) is None
    assert allowed(offer("inf2.xlarge"), {("standard", True): 0}) is None


def test_every_quota_can_be_raised() -> None:
    for (group, spot), code in CODES.items():
        command, console = how_to_raise(group, spot, "eu-west-1", 32).splitlines()
        assert f"--quota-code {code} --desired-value 32 --region eu-west-1" in command
        page = f"servicequotas/home/services/ec2/quotas/{code}"
        assert console == f"or https://eu-west-1.console.aws.amazon.com/{page}"
