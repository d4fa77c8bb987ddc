"""What an ended attempt tells of its spot machine."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dstack_cloud.clouds.base import Machine, MachineState
from dstack_cloud.lifecycle.lasted import spell_of
from dstack_cloud.ranking import Spell

MACHINE = Machine(
    "aws",
    "us-east-1",
    "i-1",
    "g4dn.xlarge",
    MachineState.GONE,
    zone="us-east-1a",
    spot=True,
    launched_at=datetime(2026, 11, 24, 12, tzinfo=UTC),
)


@pytest.mark.parametrize(
    ("reason", "taken"),
    [("interrupted", True), ("machine-lost", True), ("exited", False), ("stopped", False)],
)
def test_how_long_it_lasted_and_who_ended_it(reason, taken):
    end = {"ended_at": "2026-11-24T13:30:00Z", "reason": reason}
    pool = ("us-east-1", "us-east-1a", "g4dn.xlarge")
    assert spell_of(MACHINE, end) == Spell(pool, 1.5, taken)


@pytest.mark.parametrize("change", [{"spot": False}, {"zone": None}, {"launched_at": None}])
def test_nothing_is_told_of_other_machines(change):
    end = {"ended_at": "2026-11-24T13:30:00Z", "reason": "exited"}
    assert spell_of(replace(MACHINE, **change), end) is None
