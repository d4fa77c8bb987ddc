"""What ``gc`` finds: things in the account that carry our name and belong to no live run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dstack_cloud.clouds.base import Leftover
from dstack_cloud.lifecycle.recover import reconcile
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.state import attempts, copies
from dstack_cloud.state.runs import RunState, listing, move, tidy
from dstack_cloud.units import utc_now

LIVE = [state for state in RunState if not state.final]


@dataclass(frozen=True)
class Live:
    """A live run: its latest attempt, and whether that has a machine on record."""

    attempt: int
    launched: bool


def belongs(leftover: Leftover, live: Mapping[str, Live]) -> bool:
    """Whether something is still needed by a live run (pure).

    A machine belongs to the latest attempt of a live run; a launch template only until the
    machine is on record; what names no run (an SSH rule) as long as any run is live.
    """
    if leftover.run is None:
        return bool(live)
    owner = live.get(leftover.run)
    if owner is None or (leftover.attempt or owner.attempt) != owner.attempt:
        return False
    return leftover.kind == "machine" or not owner.launched


def find_leftovers(tools: Tools, regions: Sequence[str]) -> list[Leftover]:
    """Bring the live runs up to date, then list what belongs to none of them."""
    for run in _unindexed(tools):
        move(tools.store, run, None, RunState.SUBMITTED)
    for row in listing(tools.store, LIVE):
        reconcile(tools, row.run)
    tidy(tools.store)
    copies.forget_old(tools.store, utc_now())
    live = {row.run: _live(tools, row.run) for row in listing(tools.store, LIVE)}
    # What is not a region's but the whole account's is told by each.
    found = dict.fromkeys(one for region in regions for one in tools.cloud.leftovers(region))
    return [leftover for leftover in found if not belongs(leftover, live)]


def _unindexed(tools: Tools) -> list[str]:
    """Runs whose client was killed between claiming the name and entering it in the index."""
    indexed = {row.run for row in listing(tools.store)}
    claimed = {
        info.key.split("/")[1]
        for info in tools.store.list("runs/")
        if info.key.endswith("/run.json")
    }
    return sorted(claimed - indexed)


def _live(tools: Tools, run: str) -> Live:
    attempt = attempts.latest_attempt(tools.store, run)
    launched = attempt > 0 and attempts.read_machine(tools.store, run, attempt) is not None
    return Live(attempt, launched)
