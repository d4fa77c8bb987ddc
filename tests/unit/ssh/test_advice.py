"""Whoever gets no SSH connection is told the setting that helps."""

from __future__ import annotations

import pytest

from dstack_cloud.config import AwsConfig
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
    hint = way_in(AwsConfig(**settings))  # type: ignore[arg-type]
    assert named in hint
    assert not_named not in hint
