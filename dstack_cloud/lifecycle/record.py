"""What a run is, as written to ``run.json``: all that another client needs to carry it on.

No secret's value is in it: ``secrets`` are names only, and what the caller's own environment gave
is known to the machine alone: ``private`` are the names of such variables, which a client that
goes on with the run must have in its own environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from dstack_cloud import retry as retries
from dstack_cloud.resources import GpuRequest, ResourceRequest
from dstack_cloud.retry import Retry
from dstack_cloud.spec import ContainerSpec
from dstack_cloud.units import parse_time


@dataclass(frozen=True)
class RunRecord:
    """One submission. ``code`` is the key of the code archive in the store, None without code.

    ``cloud_access`` is the role or service account whose credentials the container gets.
    ``deps`` are `dependencies.Dependency`, JSON-ready: runs that another attempt brings in, too;
    ``brought`` is USD for bringing them over from another cloud's store, None where not known.
    ``max_cost`` is USD for all attempts together; ``on_demand_after`` the seconds of looking for a
    spot machine after which one on demand will do (None: never); ``wait`` how many seconds to go on
    looking where nothing is to be had. ``deadline`` is the moment by which the work must be done,
    ``duration`` the seconds that it takes: both or neither.
    """

    run: str
    workflow: str
    provider: str
    submitted_at: str
    owner: str
    cloud: str
    request: ResourceRequest
    container: ContainerSpec
    artifacts: tuple[Mapping[str, Any], ...] = ()
    deps: tuple[Mapping[str, Any], ...] = ()
    brought: str | None = "0"
    code: str | None = None
    secrets: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    cloud_access: str | None = None
    grace: int = 30
    max_duration: int | None = None
    max_cost: Decimal | None = None
    on_demand_after: int | None = None
    wait: int = 0
    retry: Retry | None = None
    deadline: str | None = None
    duration: int | None = None
    timers: Mapping[str, int] = field(default_factory=dict)

    @property
    def on_demand_too(self) -> bool:
        """Whether a machine on demand will do, sooner or later, where spot is asked for."""
        return self.on_demand_after is not None or self.deadline is not None

    def outlives(self, attempt: int, now: datetime) -> bool:
        """Whether the run goes on with another attempt after this one was interrupted."""
        submitted_at = parse_time(self.submitted_at)
        return retries.follows(self.retry, retries.INTERRUPTION, attempt, submitted_at, now)

    def as_json(self) -> dict[str, Any]:
        """JSON-ready: bytes as numbers, money as decimal strings."""
        container = dict(vars(self.container))
        for key in ("environment", "secret_environment", "registry_auth"):
            container[key] = dict(container[key])
        container["pages"] = {str(port): page for port, page in container["pages"].items()}
        return {
            **vars(self),
            "request": request_as_json(self.request),
            "container": container,
            "max_cost": str(self.max_cost) if self.max_cost is not None else None,
            "retry": retries.as_json(self.retry),
        }


def record_from_json(data: Mapping[str, Any]) -> RunRecord:
    """The record that `RunRecord.as_json` made (tuples come back from JSON's lists)."""
    container: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in data["container"].items()
    }
    container["pages"] = {int(port): page for port, page in container.get("pages", {}).items()}
    # A record of an earlier version lacks what came later: its default holds.
    known: dict[str, Any] = {
        item.name: data[item.name] for item in fields(RunRecord) if item.name in data
    }
    limit = known.get("max_cost")
    return RunRecord(
        **{
            **known,
            "request": request_from_json(data["request"]),
            "container": ContainerSpec(**container),
            "artifacts": tuple(data["artifacts"]),
            "deps": tuple(data.get("deps", ())),
            "secrets": tuple(data["secrets"]),
            "max_cost": Decimal(limit) if limit is not None else None,
            "private": tuple(data.get("private", ())),
            "retry": retries.from_json(data.get("retry")),
        }
    )


def request_as_json(request: ResourceRequest) -> dict[str, Any]:
    """A resource request, JSON-ready."""
    return {
        **vars(request),
        "gpu": vars(request.gpu) if request.gpu else None,
        "max_price": str(request.max_price) if request.max_price is not None else None,
    }


def request_from_json(data: Mapping[str, Any]) -> ResourceRequest:
    """The request that `request_as_json` made."""
    return ResourceRequest(
        **{
            **data,
            "gpu": GpuRequest(**data["gpu"]) if data["gpu"] else None,
            "max_price": Decimal(data["max_price"]) if data["max_price"] is not None else None,
            "clouds": tuple(data["clouds"]),
            "regions": tuple(data["regions"]),
        }
    )
