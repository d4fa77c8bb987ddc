"""What the emulated clouds ask of emulated machines: the one seam between the two.

A front end (``moto_fixtures.aws``) decides *that* a machine starts or ends; an implementation
of :class:`Machines` makes it so: ``DockerMachines`` with containers that boot systemd,
``StubMachines`` with nothing but a state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class Ec2Facts:
    """What an instance of EC2 learns from its metadata service beyond a machine's own facts."""

    role: str | None
    """The IAM role's name of the instance profile, or None."""
    hop_limit: int
    """``HttpPutResponseHopLimit``: the TTL of what the metadata service answers."""
    token_required: bool
    paths: Mapping[str, str] = field(default_factory=dict)
    """Further metadata: path below ``/latest/`` (``meta-data/ami-id``) to its text."""


@dataclass(frozen=True)
class GceFacts:
    """What an instance of Compute Engine learns from its metadata server likewise."""

    name: str
    project: str
    project_number: int
    attributes: Mapping[str, str] = field(default_factory=dict)
    """The instance's own metadata items: ``user-data``, ``ssh-keys``, …"""
    project_attributes: Mapping[str, str] = field(default_factory=dict)
    service_account: str | None = None
    """Its address (email), or None."""
    scopes: tuple[str, ...] = ()
    automatic_restart: bool = True
    on_host_maintenance: str = "MIGRATE"
    """``MIGRATE`` or ``TERMINATE``, as in the instance's ``scheduling``."""
    network: str = "default"
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class MachineSpec:
    """One machine to launch, as the cloud's launch call described it."""

    id: str
    """Unlike any other's, ever: ``i-0abc…``, or the number of an instance of Compute Engine; also
    the suffix of the container's name."""
    user_data: bytes
    """Decoded from base64; may still be gzip'd, as on the real cloud. See
    ``gce_metadata.user_data`` for what is in an instance's attributes."""
    public_ip: bool
    region: str
    zone: str
    instance_type: str
    spot: bool
    image: str
    """The image as the cloud names it: ``ami-…``, ``projects/P/global/images/NAME``."""
    ready: bool
    """Whether the provisioned image boots (which stands for a cloud's deep learning image), or
    the stock one, which has neither Docker nor rclone."""
    gpus: int
    gpu_name: str | None
    facts: Ec2Facts | GceFacts
    """Whose they are says which cloud's metadata the machine is served, and boots from."""


OnExit = Callable[[str, str], None]
"""Called from a watcher thread when a machine's container ended: (machine id, reason), the
reason one of ``poweroff`` (the machine's own doing), ``killed``, ``terminated``."""


class Machines(Protocol):
    """Launches and ends emulated machines. Every method may be called from any thread."""

    def launch(self, spec: MachineSpec) -> str:
        """Begin to boot a machine and return its address at once; the boot goes on behind."""
        ...

    def terminate(self, machine_id: str, patience: float | None = None) -> None:
        """Press the power button; cut the power where the machine is still on ``patience`` seconds
        later (by default a second or two). Returns at once; harmless when already gone."""
        ...

    def kill(self, machine_id: str) -> None:
        """Cut the power: nothing inside gets to run another instruction."""
        ...

    def partition(self, machine_id: str, seconds: float) -> None:
        """Take the machine's network away, both ways, for so many seconds."""
        ...

    def notice(self, machine_id: str, action: str, at: datetime) -> None:
        """Announce ``action`` at ``at`` (aware, UTC) in the machine's metadata.

        EC2: ``terminate``, ``stop`` or ``hibernate`` appear under ``spot/instance-action``;
        ``rebalance`` under ``events/recommendations/rebalance``. Compute Engine: ``preempted``
        under ``instance/preempted``; ``TERMINATE_ON_HOST_MAINTENANCE``,
        ``MIGRATE_ON_HOST_MAINTENANCE`` or ``NONE`` under ``instance/maintenance-event``.
        """
        ...

    def keep_disk(self, machine_id: str, image: str) -> None:
        """Keep a copy of the machine's disk as it is now, as what boots where ``MachineSpec.image``
        names that image. Returns when it is made; FixtureError where it cannot be."""
        ...

    def forget_disk(self, image: str) -> None:
        """No machine will boot that image any more. Harmless where there is none."""
        ...

    def listing(self) -> list[dict[str, object]]:
        """Every machine ever launched: ``{id, address, state, container, started, reason}``.

        ``state`` is ``booting``, ``running`` or ``off``; ``started`` RFC 3339 UTC;
        ``reason`` why it is off, else None.
        """
        ...

    def close(self) -> None:
        """Remove every machine. Calls nobody back."""
        ...
