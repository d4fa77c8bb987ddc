"""``gc`` removes what belongs to no live run, and nothing else."""

from __future__ import annotations

import pytest

from dstack_cloud.clouds.base import Leftover
from dstack_cloud.lifecycle.leftovers import Live, belongs


def leftover(kind: str, run: str | None, attempt: int | None = None) -> Leftover:
    return Leftover("aws", "us-east-1", kind, "x", run, attempt)


@pytest.mark.parametrize(
    ("thing", "live", "kept"),
    [
        (leftover("machine", "a-1", 1), {"a-1": Live(1, True)}, True),
        (leftover("machine", "a-1", 1), {"a-1": Live(2, True)}, False),
        (leftover("machine", "a-1", 1), {"b-1": Live(1, True)}, False),
        (leftover("launch-template", "a-1", 1), {"a-1": Live(1, False)}, True),
        (leftover("launch-template", "a-1", 1), {"a-1": Live(1, True)}, False),
        (leftover("ssh-rule", None), {"a-1": Live(1, True)}, True),
        (leftover("ssh-rule", None), {}, False),
    ],
)
def test_belongs(thing: Leftover, live: dict[str, Live], kept: bool) -> None:
    assert belongs(thing, live) is kept
