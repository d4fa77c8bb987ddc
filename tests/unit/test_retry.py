"""When another attempt follows, and when nobody may go on any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dstack_cloud.retry import (
    PICK_UP,
    Retry,
    as_json,
    default,
    follows,
    from_json,
    given_up,
    patience,
)

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
RULE = Retry(("interruption", "137"), attempts=3, within=3600)


@pytest.mark.parametrize(
    ("rule", "cause", "attempt", "after", "expected"),
    [
        (None, "interruption", 1, timedelta(0), False),
        (RULE, "interruption", 1, timedelta(0), True),
        (RULE, "137", 2, HOUR, True),
        (RULE, "1", 1, timedelta(0), False),
        (RULE, "no-capacity", 1, timedelta(0), False),
        (RULE, "interruption", 3, timedelta(0), False),
        (RULE, "interruption", 1, HOUR + timedelta(seconds=1), False),
        (Retry(("interruption",)), "interruption", 1000, 1000 * HOUR, True),
    ],
)
def test_follows(
    rule: Retry | None, cause: str, attempt: int, after: timedelta, expected: bool
) -> None:
    assert follows(rule, cause, attempt, BEGIN, BEGIN + after) is expected


def test_only_spot_machines_are_replaced_unasked() -> None:
    assert default(False) is None
    assert follows(default(True), "interruption", 7, BEGIN, BEGIN + 100 * HOUR)
    assert not follows(default(True), "1", 1, BEGIN, BEGIN)


@pytest.mark.parametrize(
    ("rule", "end", "after", "expected"),
    [
        (RULE, {"retry": True}, timedelta(minutes=59), False),
        (RULE, {"retry": True}, timedelta(minutes=61), True),
        (RULE, {"retry": False}, timedelta(0), True),
        (RULE, {}, timedelta(0), True),
        (default(True), {"retry": True}, 30 * timedelta(minutes=1) + PICK_UP - HOUR, False),
        (default(True), {"retry": True}, 31 * timedelta(minutes=1) + PICK_UP, True),
    ],
)
def test_a_run_that_waits_is_given_up_in_the_end(
    rule: Retry | None, end: dict[str, bool], after: timedelta, expected: bool
) -> None:
    ended = BEGIN + timedelta(minutes=30)
    assert given_up(rule, end, BEGIN, ended, BEGIN + after) is expected


@pytest.mark.parametrize(
    ("rule", "seconds"),
    [
        (None, 0),
        (RULE, 0),
        (Retry(("no-capacity",), within=3600), 1800),
        (Retry(("no-capacity",), within=60), 0),
        (Retry(("no-capacity",)), PICK_UP.total_seconds()),
    ],
)
def test_how_long_to_ask_for_a_machine(rule: Retry | None, seconds: int) -> None:
    assert patience(rule, BEGIN, BEGIN + timedelta(minutes=30)) == seconds


@pytest.mark.parametrize("rule", [None, RULE, Retry(("interruption",))])
def test_a_rule_survives_the_store(rule: Retry | None) -> None:
    assert from_json(as_json(rule)) == rule
