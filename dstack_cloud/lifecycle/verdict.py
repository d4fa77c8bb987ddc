"""What is true of a run that its index calls live: a pure reading of what is on record.

A client can be killed between any two calls, and a machine can end without a word. So whoever
reads next decides from the facts, and only from them:

- an end on record is the end, whatever the index says, unless another attempt follows it;
- without an attempt, or with an attempt that never got a machine, it is lost once its client has
  had more time than a launch can take;
- with a machine that is gone and no end, it is lost at once.

What is lost is the attempt; whether the run goes on after it is for its retry rule to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from dstack_cloud.clouds.base import MachineState
from dstack_cloud.state.runs import RunState

_GONE = (MachineState.GONE, MachineState.STOPPED)


class Verdict(StrEnum):
    """What to do about the run's index."""

    AS_IS = "as-is"
    ENDED = "ended"
    LOST = "lost"


@dataclass(frozen=True)
class Facts:
    """What is on record of a run and one of its attempts.

    ``launch_time`` is how long a client may take from submission or intent to a machine;
    ``machine`` is None when the cloud knows no machine of the attempt; ``launched_at`` None when
    no machine was ever recorded. ``known_within`` is the time after a launch in which the cloud may
    not know a machine that is there; what ended is told as gone for longer. ``awaited``: the end is
    not the run's, another attempt may still follow it.
    """

    submitted_at: datetime
    intent_at: datetime | None
    launched_at: datetime | None
    machine: MachineState | None
    end: RunState | None
    launch_time: timedelta
    known_within: timedelta
    awaited: bool = False


def verdict(facts: Facts, now: datetime) -> tuple[Verdict, str]:
    """The verdict, and its reason in words."""
    if facts.end is not None:
        if facts.awaited:
            return Verdict.AS_IS, "another attempt may follow"
        return Verdict.ENDED, f"its end is on record: {facts.end}"
    if facts.machine is not None and facts.machine not in _GONE:
        return Verdict.AS_IS, "its machine is there"
    if facts.launched_at is not None:
        if facts.machine is None and now - facts.launched_at < facts.known_within:
            return Verdict.AS_IS, "its machine was launched a moment ago"
        return Verdict.LOST, "its machine ended without a word"
    if facts.machine in _GONE:
        return Verdict.LOST, "its machine ended before a job reached it"
    begun = facts.intent_at or facts.submitted_at
    if now - begun < facts.launch_time:
        return Verdict.AS_IS, "its client is launching"
    return Verdict.LOST, "its client ended before there was a machine"
