"""Whoever reads a live run next finds the truth from what is on record."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dstack_cloud.clouds.base import MachineState
from dstack_cloud.lifecycle.verdict import Facts, Verdict, verdict
from dstack_cloud.state.runs import RunState

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LAUNCH = timedelta(minutes=10)
LAG = timedelta(minutes=5)
NOTHING = Facts(BEGIN, None, None, None, None, LAUNCH, LAG)


@pytest.mark.parametrize(
    ("facts", "after", "expected"),
    [
        pytest.param(NOTHING, LAUNCH / 2, Verdict.AS_IS, id="submitted, client may be at work"),
        pytest.param(NOTHING, LAUNCH * 2, Verdict.LOST, id="submitted, client has ended"),
        pytest.param(
            replace(NOTHING, intent_at=BEGIN + LAUNCH),
            LAUNCH * 1.5,
            Verdict.AS_IS,
            id="the launch's time counts from the intent",
        ),
        pytest.param(
            replace(NOTHING, intent_at=BEGIN), LAUNCH * 2, Verdict.LOST, id="never got a machine"
        ),
        pytest.param(
            replace(NOTHING, intent_at=BEGIN, machine=MachineState.RUNNING),
            LAUNCH * 2,
            Verdict.AS_IS,
            id="machine found by its tags, its timer decides",
        ),
        pytest.param(
            replace(NOTHING, intent_at=BEGIN, machine=MachineState.GONE),
            timedelta(0),
            Verdict.LOST,
            id="machine found by its tags, gone",
        ),
        pytest.param(
            replace(NOTHING, intent_at=BEGIN, launched_at=BEGIN, machine=MachineState.RUNNING),
            LAUNCH * 100,
            Verdict.AS_IS,
            id="running",
        ),
        pytest.param(
            replace(NOTHING, intent_at=BEGIN, launched_at=BEGIN),
            timedelta(seconds=5),
            Verdict.AS_IS,
            id="just launched, not listed yet",
        ),
        pytest.param(
            replace(NOTHING, intent_at=BEGIN, launched_at=BEGIN),
            timedelta(minutes=4),
            Verdict.AS_IS,
            id="just launched, by a clock that is minutes ahead",
        ),
        pytest.param(
            replace(NOTHING, intent_at=BEGIN, launched_at=BEGIN, known_within=timedelta(0)),
            timedelta(seconds=5),
            Verdict.LOST,
            id="a cloud that knows what it has made forgets only what has ended",
        ),
        pytest.param(
            replace(NOTHING, intent_at=BEGIN, launched_at=BEGIN),
            timedelta(minutes=6),
            Verdict.LOST,
            id="machine unknown to the cloud",
        ),
        pytest.param(
            replace(NOTHING, intent_at=BEGIN, launched_at=BEGIN, machine=MachineState.STOPPED),
            timedelta(seconds=5),
            Verdict.LOST,
            id="machine stopped without an end",
        ),
        pytest.param(
            replace(NOTHING, launched_at=BEGIN, machine=MachineState.RUNNING, end=RunState.DONE),
            timedelta(0),
            Verdict.ENDED,
            id="an end on record is the end",
        ),
        pytest.param(
            replace(NOTHING, launched_at=BEGIN, end=RunState.FAILED, awaited=True),
            LAUNCH * 100,
            Verdict.AS_IS,
            id="an end that another attempt may follow",
        ),
    ],
)
def test_verdict(facts: Facts, after: timedelta, expected: Verdict) -> None:
    found, reason = verdict(facts, BEGIN + after)
    assert found is expected, reason
    assert reason
