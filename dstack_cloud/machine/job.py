"""What the client tells the agent (the job) and what the agent answers (status, end), typed.

The agent itself reads and writes plain JSON: it imports nothing of ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dstack_cloud.units import parse_time

VERSION = 1
# Whose name an override of its address goes by.
_STORES = {"s3": "s3", "gs": "storage"}


@dataclass(frozen=True)
class StoreAccess:
    """Where the agent finds the store: ``s3://bucket/prefix``, ``gs://bucket/prefix`` or an
    absolute folder."""

    url: str
    region: str | None = None
    endpoint: str | None = None

    @classmethod
    def of(cls, url: str, region: str | None, endpoints: Mapping[str, str | None]) -> StoreAccess:
        """With the address override of the service that keeps such a store, if there is one."""
        service = _STORES.get(url.partition("://")[0], "")
        return cls(url, region, endpoints.get(service))


@dataclass(frozen=True)
class ArtifactSpec:
    """A path below the working directory, or absolute in the container; kept at every ending,
    and with ``mount`` while the container runs, too."""

    path: str
    mount: bool = False


@dataclass(frozen=True)
class DependencySpec:
    """What ``artifacts/<source>/`` has below ``paths`` comes to ``{root}/deps/<number>``, by the
    order of the job's ``deps``, before the container starts; ``name`` is for words."""

    name: str
    source: str
    paths: Sequence[str]


@dataclass(frozen=True)
class Timers:
    """Seconds: an agent's heartbeat older than ``heartbeat`` ends the machine; a pull without
    any progress for ``pull_stall`` fails the run; a machine waits ``no_job`` for its job."""

    heartbeat: int = 120
    pull_stall: int = 300
    no_job: int = 600


@dataclass(frozen=True)
class Retry:
    """After which ends another attempt follows: ``interruption`` and exit codes as text, and with
    ``rebalance`` on the cloud's early warning, too; for ``within`` seconds from the job's start
    (None: without a limit): the machine's clock need not agree with the client's."""

    on: Sequence[str]
    within: float | None = None


@dataclass(frozen=True)
class Job:
    """Everything the agent needs. ``argv`` is `dstack_cloud.ssh.docker.run_argv`'s; ``grace`` and
    ``max_duration`` are seconds; ``max_cost`` is USD that this attempt may cost, ``price`` USD an
    hour of the machine with its disk and address, both as decimal texts; ``transfer`` USD a GiB
    that is ``sent`` to the store, ``received`` from it, or told as ``log``; ``clients`` are public
    keys in OpenSSH form; ``machine_record`` is written to ``machine.json`` again once the host key
    has been replaced.

    ``secrets`` are environment variables, ``masks`` the texts that are hidden in the log;
    ``registry`` is ``username`` and ``password`` for the image's registry, or nothing;
    ``cloud_access`` the role or service account whose credentials the container gets.
    ``shown_runs`` are runs whose artifacts come to ``{root}/shown/<run>`` as they arrive in the
    store, those whose names match one of ``shown_files``, if there are any.
    ``restore``: before the container starts, what is in ``artifacts/<run>/`` comes back, as soon as
    the end of the attempt before this one is on record. ``asks`` names the cloud that is asked for
    notices and prices, by default the machine's own; ``endpoints`` are overrides of its services'
    addresses. The job is that of one ``node`` of several ``nodes``, whose agents meet in the store;
    node 0's speaks for the attempt. ``movable``: ``move.json`` beside the attempt's other objects
    asks for another machine."""

    run: str
    attempt: int
    cloud: str
    region: str
    machine: str
    store: StoreAccess
    container: str
    image: str
    argv: Sequence[str]
    pull: bool = True
    code: str | None = None
    artifacts: Sequence[ArtifactSpec] = ()
    deps: Sequence[DependencySpec] = ()
    shown_runs: Sequence[str] = ()
    shown_files: Sequence[str] = ()
    working_dir: str = "/workflow"
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    masks: Sequence[str] = field(default=(), repr=False)
    registry: Mapping[str, str] = field(default_factory=dict, repr=False)
    cloud_access: str | None = None
    max_duration: int | None = None
    max_cost: str | None = None
    price: str | None = None
    transfer: Mapping[str, str] = field(default_factory=dict)
    grace: int = 30
    timers: Timers = field(default_factory=Timers)
    endpoints: Mapping[str, str | None] = field(default_factory=dict)
    clients: Sequence[str] = ()
    user: str = "ubuntu"
    rotate_host_key: bool = True
    machine_record: Mapping[str, Any] = field(default_factory=dict)
    retry: Retry | None = None
    restore: bool = False
    asks: str | None = None
    movable: bool = False
    node: int = 0
    nodes: int = 1

    def as_json(self) -> dict[str, Any]:
        """The document that goes over the wire: secrets included, so never to a disk or a log."""
        return {
            "version": VERSION,
            "run": self.run,
            "attempt": self.attempt,
            "cloud": self.cloud,
            "region": self.region,
            "machine": self.machine,
            "store": {
                "url": self.store.url,
                "region": self.store.region or self.region,
                "endpoint": self.store.endpoint,
            },
            "endpoints": dict(self.endpoints),
            "container": {
                "name": self.container,
                "image": self.image,
                "pull": self.pull,
                "run": list(self.argv),
            },
            "code": self.code,
            "artifacts": [{"path": a.path, "mount": a.mount} for a in self.artifacts],
            "deps": [{**vars(one), "paths": list(one.paths)} for one in self.deps],
            "shown": {"runs": list(self.shown_runs), "files": list(self.shown_files)},
            "working_dir": self.working_dir,
            "secrets": dict(self.secrets),
            "masks": list(self.masks),
            "registry": dict(self.registry),
            "cloud_access": self.cloud_access,
            "max_duration": self.max_duration,
            "max_cost": self.max_cost,
            "price": self.price,
            "transfer": dict(self.transfer),
            "grace": self.grace,
            "timers": vars(self.timers),
            "clients": list(self.clients),
            "user": self.user,
            "rotate_host_key": self.rotate_host_key,
            "machine_record": dict(self.machine_record),
            "retry": {**vars(self.retry), "on": list(self.retry.on)} if self.retry else None,
            "restore": self.restore,
            "movable": self.movable,
            "asks": self.asks or self.cloud,
            "node": self.node,
            "nodes": self.nodes,
        }


def _time(value: object) -> datetime | None:
    return None if value is None else parse_time(str(value))


@dataclass(frozen=True)
class SyncStatus:
    """``behind`` bytes are changed and not yet in the store; ``error`` is why, ``warning`` what is
    slower than it should be."""

    behind: int = 0
    last_ok: datetime | None = None
    error: str | None = None
    warning: str | None = None


@dataclass(frozen=True)
class Notice:
    """The cloud takes the machine back ``by`` then; ``action`` is terminate, stop, hibernate,
    maintenance or rebalance (an early warning)."""

    at: datetime
    action: str
    by: datetime


@dataclass(frozen=True)
class Status:
    """The agent's last word while it works. ``phase`` is preparing, pulling, restoring, running,
    saving or ending, since ``since``; ``image`` is ``{name, bytes, seconds}`` once it is there.
    ``hours_left`` is the container's word of ``hours_left_at``, None without one."""

    phase: str
    since: datetime
    updated_at: datetime
    detail: Mapping[str, Any] = field(default_factory=dict)
    image: Mapping[str, Any] | None = None
    container_started_at: datetime | None = None
    log_bytes: int = 0
    sync: SyncStatus = field(default_factory=SyncStatus)
    host_key: str | None = None
    notice: Notice | None = None
    hours_left: float | None = None
    hours_left_at: datetime | None = None

    @classmethod
    def from_json(cls, data: bytes | str) -> Status:
        """Raises ValueError or KeyError for what is not a status."""
        raw = json.loads(data)
        sync = raw.get("sync") or {}
        notice = raw.get("notice")
        return cls(
            phase=raw["phase"],
            since=parse_time(raw["since"]),
            updated_at=parse_time(raw["updated_at"]),
            detail=raw.get("detail") or {},
            image=raw.get("image"),
            container_started_at=_time(raw.get("container_started_at")),
            log_bytes=int(raw.get("log_bytes", 0)),
            sync=SyncStatus(
                int(sync.get("behind", 0)),
                _time(sync.get("last_ok")),
                sync.get("error"),
                sync.get("warning"),
            ),
            host_key=raw.get("host_key"),
            notice=notice
            and Notice(parse_time(notice["at"]), notice["action"], parse_time(notice["by"])),
            hours_left=raw.get("hours_left"),
            hours_left_at=_time(raw.get("hours_left_at")),
        )


@dataclass(frozen=True)
class StoredArtifact:
    """What became of one artifact. ``stored`` False with an error; True with ``files`` 0 and an
    error says that the container left nothing at that path."""

    path: str
    files: int
    bytes: int
    stored: bool
    error: str | None = None


@dataclass(frozen=True)
class End:
    """How an attempt ended. ``state`` is done, failed, stopped or lost; ``reason`` is exited,
    stopped, aborted, max_duration, max_cost, image, disk, memory, setup, fenced, interrupted, moved
    or agent; ``hours_left`` is as in `Status`; ``retry`` says that the run is not over: another
    attempt follows."""

    state: str
    reason: str
    exit_code: int | None
    message: str | None
    hint: str | None
    started_at: datetime | None
    container_started_at: datetime | None
    ended_at: datetime | None
    container_ended_at: datetime | None = None
    log_bytes: int = 0
    artifacts: tuple[StoredArtifact, ...] = ()
    retry: bool = False
    hours_left: float | None = None
    hours_left_at: datetime | None = None

    @property
    def artifacts_stored(self) -> bool:
        """False when anything that should be in the store is not."""
        return all(artifact.stored for artifact in self.artifacts)

    @classmethod
    def from_json(cls, data: bytes | str) -> End:
        """Raises ValueError or KeyError for what is not an end."""
        raw = json.loads(data)
        return cls(
            state=raw["state"],
            reason=raw["reason"],
            exit_code=raw.get("exit_code"),
            message=raw.get("message"),
            hint=raw.get("hint"),
            started_at=_time(raw.get("started_at")),
            container_started_at=_time(raw.get("container_started_at")),
            ended_at=_time(raw.get("ended_at")),
            container_ended_at=_time(raw.get("container_ended_at")),
            log_bytes=int(raw.get("log_bytes") or 0),
            artifacts=tuple(
                StoredArtifact(
                    str(a["path"]), int(a["files"]), int(a["bytes"]), bool(a["stored"]), a["error"]
                )
                for a in raw.get("artifacts") or ()
            ),
            retry=bool(raw.get("retry")),
            hours_left=raw.get("hours_left"),
            hours_left_at=_time(raw.get("hours_left_at")),
        )
