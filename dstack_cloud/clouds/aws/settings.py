"""The user's settings for AWS, as the configuration file holds them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from dstack_cloud.clouds.aws.policies import ROLE


@dataclass(frozen=True)
class Settings:
    """``image`` is an AMI id or the name of an SSM parameter; ``store_url`` ``s3://NAME[/PREFIX]``.

    With ``baked`` an image of our own takes the place of the stock one that it was made from,
    unless an ``image`` is named. With ``security_groups`` of the user's own no SSH rule is made.
    Through a ``jump_host``, or without ``public_ip``, machines are reached at their private
    address.
    """

    profile: str | None = None
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    public_ip: bool = True
    jump_host: str | None = None
    image: str | None = None
    baked: bool = True
    role: str = ROLE
    store_url: str | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
