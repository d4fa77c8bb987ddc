"""The user's settings for Google Cloud, as the configuration file holds them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from dstack_cloud.config import MACHINE_ROLE, GcpConfig

OPERATION_S = 300


@dataclass(frozen=True)
class Settings:
    """``image`` is ``PROJECT/IMAGE`` or ``PROJECT/family/FAMILY``; ``network`` and ``subnetwork``
    are names, or ``PROJECT/NAME`` where they are another project's (a shared VPC).

    With ``network_tags`` of the user's own no firewall rule is made. Through a ``jump_host``, or
    without ``public_ip``, machines are reached at their private address. ``service_account`` is
    the machines' (a name in the project, or an address). ``operation_s``: seconds that an
    operation may take before it is given up.
    """

    project: str | None = None
    network: str | None = None
    subnetwork: str | None = None
    network_tags: tuple[str, ...] = ()
    public_ip: bool = True
    jump_host: str | None = None
    image: str | None = None
    baked: bool = True
    service_account: str = MACHINE_ROLE
    store_url: str | None = None
    operation_s: float = OPERATION_S
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @classmethod
    def of(cls, section: GcpConfig) -> Settings:
        """The settings of the configuration's section."""
        return cls(
            project=section.project,
            network=section.network,
            subnetwork=section.subnetwork,
            network_tags=section.network_tags,
            public_ip=section.public_ip,
            jump_host=section.jump_host,
            image=section.image,
            baked=section.baked,
            service_account=section.service_account,
            store_url=section.store,
        )

    def account(self, project: str) -> str:
        """The address of the machines' service account."""
        name = self.service_account
        return name if "@" in name else f"{name}@{project}.iam.gserviceaccount.com"
