"""What each of several nodes is told."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from dstack_cloud.clouds.base import Machine, MachineState
from dstack_cloud.config import Timers
from dstack_cloud.lifecycle.launch import Launched
from dstack_cloud.lifecycle.private import Private
from dstack_cloud.lifecycle.record import RunRecord
from dstack_cloud.lifecycle.start import job
from dstack_cloud.machine.job import Job
from dstack_cloud.resources import ResourceRequest
from dstack_cloud.spec import ContainerSpec
from dstack_cloud.ssh.base import AgentHome
from dstack_cloud.units import GIB

RECORD = RunRecord(
    run="train-7",
    workflow="train",
    provider="torchrun",
    submitted_at="2026-01-31T09:05:00.000Z",
    owner="me@here",
    cloud="aws",
    request=ResourceRequest(),
    container=ContainerSpec("ubuntu", None, ("true",), {}, nodes=3),
    max_duration=600,
    max_cost=Decimal(6),
    brought="1.5",
)
ONE = Machine(
    "aws",
    "us-east-1",
    "i-0",
    "g4dn.xlarge",
    MachineState.RUNNING,
    price=Decimal("0.2"),
    on_demand=Decimal("0.5"),
    disk=100 * GIB,
    public=True,
    private_address="10.0.0.4",
)


def job_of(node: int, machine: Machine) -> Job:
    tools: Any = SimpleNamespace(
        store=SimpleNamespace(url="s3://bucket"),
        store_region="us-east-1",
        endpoints={},
        reach=SimpleNamespace(
            home=lambda machine: AgentHome("/var/lib/dstack-cloud"), public_key=lambda: "key"
        ),
        timers=Timers(),
    )
    launched = Launched(machine, "host key", SimpleNamespace())  # type: ignore[arg-type]
    return job(tools, RECORD, 1, launched, Private({}, ()), node)


def test_nodes_share_the_budget_and_have_the_same_time() -> None:
    others = [replace(ONE, id=f"i-{n}", private_address=f"10.0.0.{4 + n}") for n in (1, 2)]
    jobs = [job_of(node, replace(ONE, fellows=tuple(others))) for node in range(3)]
    # What bringing in the dependencies cost has been paid already.
    assert [one.max_cost for one in jobs] == ["1.5"] * 3
    assert [one.max_duration for one in jobs] == [600] * 3
    assert [(one.machine, one.node, one.nodes) for one in jobs] == [
        ("i-0", 0, 3),
        ("i-1", 1, 3),
        ("i-2", 2, 3),
    ]
    assert job_of(0, ONE).max_cost == "4.5"
