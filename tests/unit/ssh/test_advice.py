"""Whoever gets no SSH connection is told the setting that helps."""

from __future__ import annotations

import pytest

from dstack_cloud.config import AwsConfig, GcpConfig
from dstack_cloud.ssh.advice import way_in


@pytest.mark.parametrize(
    ("settings", "named", "not_named"),
    [
        ({}, "aws.jump_host, a host in the VPC", "security_groups"),
        (
            {"security_groups": ("sg-1",)},
            "aws.security_groups (sg-1) must let TCP port 22 in",
            "jump",
        ),
        ({"public_ip": False}, "aws.public_ip is false", "security_groups"),
        ({"public_ip": False, "security_groups": ("sg-1",)}, "(sg-1) must let TCP port 22", "NAT"),
        ({"jump_host": "me@bastion"}, "aws.jump_host (me@bastion)", "public_ip"),
        ({"jump_host": "b", "security_groups": ("sg-1",)}, "port 22 in from it", "present address"),
    ],
)
def test_the_setting_that_helps(settings: dict[str, object], named: str, not_named: str) -> None:
    hint = way_in("aws", AwsConfig(**settings))  # type: ignore[arg-type]
    assert named in hint
    assert not_named not in hint


def test_each_cloud_names_its_own_setting() -> None:
    hint = way_in("gcp", GcpConfig(network_tags=("office",)))
    assert "the network tags in gcp.network_tags (office) must let TCP port 22 in" in hint
    assert "aws" not in hint
    assert "gcp.jump_host" in way_in("gcp", GcpConfig())
    assert "lets connections to port 22 out" in way_in("local", None)
