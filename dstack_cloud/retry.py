"""Whether a run goes on with another attempt after one has ended: pure.

What can be retried is named as in the workflow file: ``interruption`` (the cloud took the machine
back, or it ended without a word), ``rebalance`` (its early warning counts as one, too),
``no-capacity`` (no machine was to be had), or an exit code of the container, as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

INTERRUPTION, REBALANCE, NO_CAPACITY = "interruption", "rebalance", "no-capacity"

# A run that waits for a client to go on with it is given up after this long, unless the workflow
# says otherwise: its name must not stand among the live ones for ever.
PICK_UP = timedelta(days=7)


@dataclass(frozen=True)
class Retry:
    """``on`` names causes; ``attempts`` is how many there may be in all, ``within`` the seconds
    since the submission in which one may begin; None sets no limit."""

    on: tuple[str, ...]
    attempts: int | None = None
    within: int | None = None


def default(interruptible: bool) -> Retry | None:
    """For a workflow that says nothing: a spot machine that is taken back is what it asked for,
    and no reason to end its run."""
    return Retry((INTERRUPTION,)) if interruptible else None


def until(retry: Retry, submitted_at: datetime) -> datetime | None:
    """The moment after which no attempt may begin; None without a limit."""
    return None if retry.within is None else submitted_at + timedelta(seconds=retry.within)


def follows(
    retry: Retry | None, cause: str, attempt: int, submitted_at: datetime, now: datetime
) -> bool:
    """Whether an attempt ``attempt + 1`` follows one that ended for ``cause``."""
    if retry is None or cause not in retry.on:
        return False
    if retry.attempts is not None and attempt >= retry.attempts:
        return False
    limit = until(retry, submitted_at)
    return limit is None or now <= limit


def patience(retry: Retry | None, submitted_at: datetime, now: datetime) -> int:
    """Seconds for which to go on asking for a machine: 0 unless the rule names no-capacity."""
    if retry is None or NO_CAPACITY not in retry.on:
        return 0
    limit = until(retry, submitted_at)
    left = PICK_UP if limit is None else limit - now
    return max(0, int(left.total_seconds()))


def given_up(
    retry: Retry | None,
    end: Mapping[str, Any],
    submitted_at: datetime,
    ended_at: datetime,
    now: datetime,
) -> bool:
    """Whether nobody may go on any more with a run whose last attempt ended like ``end``."""
    if not end.get("retry") or retry is None:
        return True
    limit = until(retry, submitted_at)
    return now > (ended_at + PICK_UP if limit is None else limit)


def as_json(retry: Retry | None) -> dict[str, Any] | None:
    """JSON-ready."""
    return None if retry is None else {**vars(retry), "on": list(retry.on)}


def from_json(data: Mapping[str, Any] | None) -> Retry | None:
    """What `as_json` made."""
    return None if data is None else Retry(**{**data, "on": tuple(data["on"])})
