"""What ``gc`` finds: things in the account that carry our name and belong to no live run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dstack_cloud.clouds.base import PLACEMENT, Leftover
from dstack_cloud.lifecycle.recover import reconcile
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.state import attempts, copies
from dstack_cloud.state.runs import RunState, listing, move, tidy
from dstack_cloud.units import utc_now

LIVE = [state for state in RunState if not state.final]

# A builder of a machine image is no run, and ends itself when its client is gone. Until a build has
# had more time than it may take, nothing tells one that is at work from one that did not end.
_BUILD = timedelta(hours=3)
_BUILDER = re.compile(r"image-(\d{8}-\d{6})$")


@dataclass(frozen=True)
class Live:
    """A live run: its latest attempt, whether that has a machine on record, and those before it
    that have not ended: under notice, they save their work while the next one boots."""

    attempt: int
    launched: bool
    saving: frozenset[int] = frozenset()


def belongs(leftover: Leftover, live: Mapping[str, Live], now: datetime) -> bool:
    """Whether something is still needed by a live run, or a build (pure).

    A machine, and what keeps several together, belongs to an attempt of a live run that has not
    ended, or is not yet claimed: a look for spot has its machine first. A launch template is needed
    only until the machine is on record; what names no run (an SSH rule) as long as any run is live.
    """
    if leftover.run is None:
        return bool(live)
    owner = live.get(leftover.run)
    if owner is None:
        return _at_work(leftover.run, now)
    attempt = leftover.attempt or owner.attempt
    if attempt > owner.attempt:
        return True
    if leftover.kind in ("machine", PLACEMENT):
        return attempt == owner.attempt or attempt in owner.saving
    return attempt == owner.attempt and not owner.launched


def _at_work(name: str, now: datetime) -> bool:
    begun = _BUILDER.match(name)
    if begun is None:
        return False
    at = datetime.strptime(begun[1], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    return abs(now - at) < _BUILD


def find_leftovers(tools: Tools, regions: Sequence[str]) -> list[Leftover]:
    """Bring the live runs up to date, then list what belongs to none of them."""
    for run in _unindexed(tools):
        move(tools.store, run, None, RunState.SUBMITTED)
    for row in listing(tools.store, LIVE):
        reconcile(tools, row.run)
    tidy(tools.store)
    copies.forget_old(tools.store, utc_now())
    # What is not a region's but the whole account's is told by each.
    found = dict.fromkeys(one for region in regions for one in tools.cloud.leftovers(region))
    # Only now: what a run launches meanwhile is on record before it is there.
    live = {row.run: _live(tools, row.run) for row in listing(tools.store, LIVE)}
    return [leftover for leftover in found if not belongs(leftover, live, utc_now())]


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
    return Live(attempt, launched, frozenset(attempts.unended(tools.store, run, attempt)))
