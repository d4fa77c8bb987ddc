"""From a workflow to a run on record: the code uploaded once, the run claimed, nothing launched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from dstack_cloud.lifecycle.dependencies import Dependency
from dstack_cloud.lifecycle.record import RunRecord
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.resources import ResourceRequest
from dstack_cloud.retry import Retry
from dstack_cloud.spec import ArtifactSpec, ContainerSpec
from dstack_cloud.state import runs
from dstack_cloud.units import format_time, utc_now


@dataclass(frozen=True)
class Submission:
    """A workflow on its way to become a run.

    ``container`` makes the container spec for the run's name; ``private`` are the environment
    variables whose values must not be written down: they travel to the machine alone. ``code`` is
    the key of the uploaded archive. ``brought`` is USD for what the dependencies cost to bring over
    from another cloud's store, None where not known. ``deadline`` is seconds from now on.
    """

    workflow: str
    provider: str
    container: Callable[[str], ContainerSpec]
    request: ResourceRequest
    artifacts: Sequence[ArtifactSpec]
    deps: Sequence[Dependency]
    brought: Decimal | None
    grace: int
    max_duration: int | None
    max_cost: Decimal | None
    on_demand_after: int | None
    wait: int
    retry: Retry | None
    deadline: int | None
    duration: int | None
    secrets: tuple[str, ...]
    cloud_access: str | None
    private: frozenset[str]
    code: str | None


def submit(tools: Tools, submission: Submission) -> RunRecord:
    """Claim a run; answers its record.

    Raises what the provider and the store raise.
    """

    def as_record(name: str) -> RunRecord:
        container = submission.container(name)
        written = {
            key: value
            for key, value in container.environment.items()
            if key not in submission.private
        }
        return RunRecord(
            run=name,
            workflow=submission.workflow,
            provider=submission.provider,
            submitted_at=submitted_at,
            owner=tools.owner,
            cloud=tools.cloud.name,
            request=submission.request,
            container=replace(container, environment=written),
            artifacts=tuple(vars(artifact) for artifact in submission.artifacts),
            deps=tuple(vars(one) for one in submission.deps),
            brought=None if submission.brought is None else f"{submission.brought:f}",
            code=submission.code,
            secrets=submission.secrets,
            cloud_access=submission.cloud_access,
            private=tuple(sorted(submission.private)),
            grace=submission.grace,
            max_duration=submission.max_duration,
            max_cost=submission.max_cost,
            on_demand_after=submission.on_demand_after,
            wait=submission.wait,
            retry=submission.retry,
            deadline=deadline,
            duration=submission.duration,
            timers={"no_job": tools.timers.no_job, "heartbeat": tools.timers.heartbeat},
        )

    now = utc_now()
    submitted_at, deadline = format_time(now), None
    if submission.deadline is not None:
        deadline = format_time(now + timedelta(seconds=submission.deadline))
    name = runs.submit(
        tools.store, submission.workflow, lambda claimed: as_record(claimed).as_json()
    )
    return as_record(name)
