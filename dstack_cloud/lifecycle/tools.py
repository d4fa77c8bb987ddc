"""What the life of a run works with: handed in by `wiring`, so that no line here knows a cloud."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dstack_cloud.clouds.base import Cloud, Machine
from dstack_cloud.config import Timers
from dstack_cloud.lifecycle.report import Reporter
from dstack_cloud.ssh.base import AgentHome, Session
from dstack_cloud.storage.base import Store


class Reach(Protocol):
    """How to get onto a machine."""

    def home(self, machine: Machine) -> AgentHome:
        """The agent's place there."""
        ...

    def session(self, machine: Machine, host_key: str, deadline_s: float) -> Session:
        """A connection, tried for ``deadline_s`` seconds.

        Raises UnreachableError, or HostKeyMismatchError (at once) when another machine answers.
        """
        ...

    def public_key(self) -> str:
        """The caller's public key, ``ssh-ed25519 AAAA… comment``; made if there is none."""
        ...


def _nothing() -> None:
    """Nothing can be let go."""


def _no_secrets(names: Sequence[str]) -> Mapping[str, str]:
    """None are kept."""
    return {}


@dataclass(frozen=True)
class Tools:
    """One cloud, its store, the way onto its machines, and who is told.

    ``provisioning`` are settings for the script that makes a stock image ready, by the names of
    its environment; ``endpoints`` are overrides of service addresses (``s3``, ``ec2``) that the
    machine must use, too; ``store_region`` is where the bucket is, where that means anything.
    ``rest`` is for when the cloud will not be asked for a while: what is only needed for that may
    be let go.
    ``secrets`` answers the values of those among some names that are kept for this cloud.
    ``late`` are threads that end a machine which nobody needs as soon as it is there: to be waited
    for before the program ends.
    """

    cloud: Cloud
    store: Store
    reach: Reach
    report: Reporter
    timers: Timers
    owner: str
    endpoints: dict[str, str | None]
    provisioning: dict[str, str]
    store_region: str | None
    rest: Callable[[], None] = _nothing
    secrets: Callable[[Sequence[str]], Mapping[str, str]] = _no_secrets
    late: list[threading.Thread] = field(default_factory=list)
