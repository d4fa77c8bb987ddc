"""What is written of a run and a machine comes back the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

from dstack_cloud.clouds.base import Machine, MachineState
from dstack_cloud.lifecycle.machine_record import machine_as_json, machine_from_json
from dstack_cloud.lifecycle.record import RunRecord, record_from_json
from dstack_cloud.resources import GpuRequest, ResourceRequest
from dstack_cloud.retry import Retry
from dstack_cloud.spec import ContainerSpec


def test_run_record() -> None:
    record = RunRecord(
        run="train-7",
        workflow="train",
        provider="docker",
        submitted_at="2026-01-31T09:05:00.000Z",
        owner="me@here",
        cloud="aws",
        request=ResourceRequest(
            cpu=4,
            gpu=GpuRequest(1, "K80", None),
            max_price=Decimal("1.50"),
            clouds=("aws",),
            regions=("us-east-1", "us-west-2"),
        ),
        container=ContainerSpec(
            "ubuntu", "/bin/sh", ("-c", "true"), {"A": "1"}, ports=(8080,), warnings=("careful",)
        ),
        artifacts=({"path": "output", "mount": False},),
        code="code/abc.tar.gz",
        private=("TOKEN",),
        max_duration=60,
        retry=Retry(("interruption", "137"), attempts=3),
        timers={"no_job": 600},
    )
    assert record_from_json(json.loads(json.dumps(record.as_json()))) == record


def test_machine_record() -> None:
    machine = Machine(
        cloud="aws",
        region="us-east-1",
        id="i-1",
        machine="p2.xlarge",
        state=MachineState.RUNNING,
        zone="us-east-1a",
        address="10.0.0.1",
        spot=True,
        price=Decimal("0.27"),
        run="train-7",
        attempt=1,
        launched_at=datetime(2026, 1, 1, tzinfo=UTC),
        tags={"dstack-cloud": "me@here"},
    )
    written = json.loads(json.dumps(machine_as_json(machine, "ssh-ed25519 AAAA")))
    assert machine_from_json(written) == (machine, "ssh-ed25519 AAAA")
