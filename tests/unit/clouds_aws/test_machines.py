"""A machine as EC2 describes it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dstack_cloud.clouds.aws.machines import Reach, as_machine

ENDED = datetime(2026, 1, 31, 9, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        ("terminated", "User initiated (2026-01-31 09:05:00 GMT)", ENDED),
        ("terminated", "User initiated (2026-01-31 09:05:00 UTC)", ENDED),
        ("terminated", "Server.SpotInstanceTermination: Spot instance termination", None),
        ("terminated", "", None),
        ("terminated", None, None),
        # Of an earlier stop.
        ("running", "User initiated (2026-01-31 09:05:00 GMT)", None),
    ],
)
def test_when_it_went_off_the_bill(state: str, reason: str | None, expected: Any) -> None:
    instance = {
        "InstanceId": "i-1",
        "InstanceType": "t3.micro",
        "State": {"Name": state},
        "StateTransitionReason": reason,
    }
    assert as_machine(instance, "us-east-1", Reach()).ended_at == expected
