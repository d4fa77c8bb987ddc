"""The seam to a cloud: eight methods, and the values that cross it.

A cloud answers with a machine or with typed failures, never with its SDK's exceptions. What can
never be helped by trying elsewhere (credentials, permission, configuration) is raised at once as
an error of `dstack_cloud.errors`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from dstack_cloud.resources import Offer


class FailureKind(StrEnum):
    """Why an offer could not be had."""

    CAPACITY = "capacity"
    PRICE = "price"
    QUOTA = "quota"
    PERMISSION = "permission"
    CREDENTIALS = "credentials"
    CONFIGURATION = "configuration"
    THROTTLED = "throttled"


class Scope(StrEnum):
    """What a failure rules out."""

    OFFER = "offer"
    ZONE = "zone"
    REGION = "region"
    CLOUD = "cloud"
    EVERYTHING = "everything"


@dataclass(frozen=True)
class LaunchFailure:
    """One offer (in one zone, where known) that could not be had.

    ``code`` is the cloud's own; ``retry_after`` is in seconds: how long the failure rules out
    its scope. It does so in the offer's market alone (spot or on demand), and with ``any_market``
    in both.
    """

    kind: FailureKind
    scope: Scope
    code: str
    message: str
    offer: Offer
    zone: str | None = None
    retry_after: int = 300
    any_market: bool = False


class MachineState(StrEnum):
    """A machine's life as the cloud tells it."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"
    ENDING = "ending"
    GONE = "gone"


@dataclass(frozen=True)
class Machine:
    """One launched machine.

    ``address`` is where SSH reaches it (public, else private), None until known; ``jump_host``
    is ``[user@]host[:port]`` to go through; ``price`` and ``on_demand`` are USD an hour, None
    where not known. ``run`` and ``attempt`` come from its tags. ``disk`` (bytes) and ``public``
    (whether it has a public address of its own) are on the bill; None where not known.
    ``ended_at`` is when it went off the bill, where the cloud tells that of one that is gone.
    ``private_address`` is where the others of its attempt reach it. ``fellows`` are those others,
    launched with it: this one is node 0 then, they are node 1 and up.
    """

    cloud: str
    region: str
    id: str
    machine: str
    state: MachineState
    zone: str | None = None
    address: str | None = None
    user: str = "ubuntu"
    jump_host: str | None = None
    spot: bool = False
    price: Decimal | None = None
    on_demand: Decimal | None = None
    run: str | None = None
    attempt: int | None = None
    launched_at: datetime | None = None
    ended_at: datetime | None = None
    disk: int | None = None
    public: bool | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    private_address: str | None = None
    fellows: tuple[Machine, ...] = ()

    @property
    def nodes(self) -> tuple[Machine, ...]:
        """All machines of the attempt, node 0 first."""
        return (self, *self.fellows)

    @property
    def ids(self) -> list[str]:
        """The ids of all machines of the attempt."""
        return [machine.id for machine in self.nodes]

    def seen(self, now: Machine) -> Machine:
        """What the cloud says of it now, with what only its launch knew."""
        return replace(
            now,
            price=self.price if now.price is None else now.price,
            on_demand=self.on_demand if now.on_demand is None else now.on_demand,
            disk=self.disk if now.disk is None else now.disk,
            public=self.public if now.public is None else now.public,
            fellows=self.fellows,
        )


@dataclass(frozen=True)
class MachineImage:
    """The image a machine boots from.

    ``ready`` says that Docker, rclone and what the GPU needs are in it; otherwise the
    provisioning script runs at boot, with ``driver`` (an NVIDIA driver branch such as ``535``,
    or None without a GPU).
    """

    id: str
    ready: bool
    user: str = "ubuntu"
    driver: str | None = None


@dataclass(frozen=True)
class LaunchRequest:
    """One capacity request.

    ``offers`` are ranked, best first, all of one cloud and region; ``user_data`` renders the
    machine's user data for the image that is chosen, in another process perhaps; ``token`` makes a
    repeated call harmless; ``store`` is where the run is on record, for runs of several stores may
    live in one account; ``disk`` is bytes of the root volume, None for the default. ``deadline`` is
    the moment after which the machine must be gone whatever happens, None if there is none.
    ``authorized_key`` is the caller's public key, for clouds that put it onto machines themselves.
    ``nodes`` machines are wanted, all of one type in one zone: all of them or none.
    """

    run: str
    attempt: int
    token: str
    offers: Sequence[Offer]
    user_data: Callable[[MachineImage], bytes]
    disk: int | None = None
    max_price: Decimal | None = None
    owner: str = ""
    store: str = ""
    deadline: datetime | None = None
    authorized_key: str = ""
    nodes: int = 1


@dataclass(frozen=True)
class LaunchAnswer:
    """A machine (with its fellows, where several were wanted), or None; and what failed on the way
    to it."""

    machine: Machine | None
    failures: tuple[LaunchFailure, ...] = ()


PLACEMENT = "placement"
"""The kind of a leftover that keeps the nodes of a run together: of use for as long as they are
there."""


@dataclass(frozen=True)
class Leftover:
    """Something on the bill or in the account that may belong to no live run.

    ``kind`` is ``machine``, ``launch-template``, ``ssh-rule``, ``placement``, …; ``run`` the run it
    was made for, where known.
    """

    cloud: str
    region: str
    kind: str
    id: str
    run: str | None = None
    attempt: int | None = None
    detail: str = ""


@dataclass(frozen=True)
class Check:
    """One line of ``check``: ``ok`` None means: could not be told. ``hint`` says what to do."""

    name: str
    ok: bool | None
    detail: str
    hint: str | None = None


class Cloud(Protocol):
    """What the life of a run needs from a cloud. All methods may raise `DstackError`."""

    name: str

    def launch(self, request: LaunchRequest) -> LaunchAnswer:
        """Ask once for one machine (or so many together as the request says) across the request's
        offers and their zones."""
        ...

    def machine(self, region: str, machine_id: str) -> Machine | None:
        """The machine as it is now; None when the cloud no longer knows it."""
        ...

    def machines(self, region: str, run: str | None = None) -> list[Machine]:
        """All machines that carry our tags (of one run, if named) and are not gone."""
        ...

    def terminate(self, region: str, ids: Iterable[str]) -> None:
        """End the machines; harmless when they are gone already."""
        ...

    def admit(self, machine: Machine) -> None:
        """Let the caller's present address reach the machine's SSH port."""
        ...

    def leftovers(self, region: str) -> list[Leftover]:
        """What else carries our name in the region, machines included."""
        ...

    def remove(self, leftover: Leftover) -> None:
        """Remove one leftover; harmless when it is gone already."""
        ...

    def check(self, region: str) -> Iterator[Check]:
        """Credentials, permissions, quotas, network and image, one by one."""
        ...
