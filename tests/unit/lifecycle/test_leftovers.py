"""``gc`` removes what belongs to no live run, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dstack_cloud.clouds.base import Leftover
from dstack_cloud.lifecycle.bake import PREFIX
from dstack_cloud.lifecycle.leftovers import Live, belongs

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
EARLIER_SAVES = Live(2, True, frozenset({1}))


def leftover(kind: str, run: str | None, attempt: int | None = None) -> Leftover:
    return Leftover("aws", "us-east-1", kind, "x", run, attempt)


@pytest.mark.parametrize(
    ("thing", "live", "kept"),
    [
        (leftover("machine", "a-1", 1), {"a-1": Live(1, True)}, True),
        (leftover("machine", "a-1", 1), {"a-1": Live(2, True)}, False),
        (leftover("machine", "a-1", 1), {"a-1": EARLIER_SAVES}, True),
        # A look for spot: the machine comes before the claim.
        (leftover("machine", "a-1", 3), {"a-1": EARLIER_SAVES}, True),
        (leftover("launch-template", "a-1", 3), {"a-1": EARLIER_SAVES}, True),
        (leftover("launch-template", "a-1", 1), {"a-1": EARLIER_SAVES}, False),
        (leftover("machine", "a-1", 1), {"b-1": Live(1, True)}, False),
        (leftover("launch-template", "a-1", 1), {"a-1": Live(1, False)}, True),
        (leftover("launch-template", "a-1", 1), {"a-1": Live(1, True)}, False),
        (leftover("placement", "a-1", 1), {"a-1": Live(1, True)}, True),
        (leftover("placement", "a-1", 1), {"a-1": Live(2, True)}, False),
        (leftover("placement", "a-1", 1), {"a-1": EARLIER_SAVES}, True),
        (leftover("ssh-rule", None), {"a-1": Live(1, True)}, True),
        (leftover("ssh-rule", None), {}, False),
    ],
)
def test_belongs(thing: Leftover, live: dict[str, Live], kept: bool) -> None:
    assert belongs(thing, live, NOW) is kept


@pytest.mark.parametrize(("hours", "kept"), [(-0.2, True), (0.5, True), (2.9, True), (4, False)])
@pytest.mark.parametrize("kind", ["machine", "launch-template"])
def test_a_builder_is_spared_while_a_build_may_last(kind: str, hours: float, kept: bool) -> None:
    name = f"{PREFIX}{NOW - timedelta(hours=hours):%Y%m%d-%H%M%S}"
    assert belongs(leftover(kind, name, 1), {}, NOW) is kept


def test_a_run_of_a_workflow_named_alike_is_no_builder() -> None:
    assert not belongs(leftover("machine", "image-1", 1), {}, NOW)
