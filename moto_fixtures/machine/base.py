"""What the emulated clouds ask of emulated machines: the one seam between the two.

A front end (``moto_fixtures.aws``) decides *that* a machine starts or ends; an implementation
of :class:`Machines` makes it so: ``DockerMachines`` with containers that boot systemd,
``StubMachines`` with nothing but a state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

READY_IMAGES = "ami-0d1a"
"""Image ids that begin so boot the provisioned image (the Deep Learning Base AMI); every other
id boots the stock one, which has neither Docker nor rclone."""


@dataclass(frozen=True)
class MachineSpec:
    """One machine to launch, as the cloud's launch call described it."""

    id: str
    """The instance id, ``i-0abc…``; also the suffix of the container's name."""
    user_data: bytes
    """Decoded from base64; may still be gzip'd, as on the real cloud."""
    role: str | None
    """The IAM role's name of the instance profile, or None."""
    public_ip: bool
    hop_limit: int
    """``HttpPutResponseHopLimit``: the TTL of what the metadata service answers."""
    imds_token_required: bool
    region: str
    zone: str
    instance_type: str
    spot: bool
    image: str
    """The image id (``ami-…``); says which of the emulated images boots."""
    gpus: int
    gpu_name: str | None
    metadata: dict[str, str] = field(default_factory=dict)
    """Further metadata: path below ``/latest/`` (``meta-data/ami-id``) to its text."""


OnExit = Callable[[str, str], None]
"""Called from a watcher thread when a machine's container ended: (machine id, reason), the
reason one of ``poweroff`` (the machine's own doing), ``killed``, ``terminated``."""


class Machines(Protocol):
    """Launches and ends emulated machines. Every method may be called from any thread."""

    def launch(self, spec: MachineSpec) -> str:
        """Begin to boot a machine and return its address at once; the boot goes on behind."""
        ...

    def terminate(self, machine_id: str) -> None:
        """Shut down, then remove, within a second or two. Harmless when already gone."""
        ...

    def kill(self, machine_id: str) -> None:
        """Cut the power: nothing inside gets to run another instruction."""
        ...

    def partition(self, machine_id: str, seconds: float) -> None:
        """Take the machine's network away, both ways, for so many seconds."""
        ...

    def notice(self, machine_id: str, action: str, at: datetime) -> None:
        """Announce ``action`` at ``at`` (aware, UTC) in the machine's metadata.

        ``terminate``, ``stop`` or ``hibernate`` appear under ``spot/instance-action``;
        ``rebalance`` under ``events/recommendations/rebalance``.
        """
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
