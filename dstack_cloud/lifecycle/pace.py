"""How a run stands with its deadline: the time that is over and the work that is left. Pure.

Seconds throughout, counted from the run's submission.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dstack_cloud.units import parse_time

# How often it is decided anew, at most and at least; in between a share of the deadline.
_RAREST_S, _OFTENEST_S, _SHARE = 60.0, 5.0, 200
# From the launch until a job has come: after this long a machine ends itself. What seems to take
# longer is the difference of two clocks.
_LONGEST_BOOT_S = 600.0


@dataclass(frozen=True)
class Terms:
    """What was asked for: the work of ``duration`` seconds, done ``deadline`` seconds after the
    submission. ``restart`` is what a machine is taken to need until it works, at least."""

    deadline: int
    duration: int
    restart: int

    @property
    def interval(self) -> float:
        """Seconds from one decision to the next."""
        return min(_RAREST_S, max(_OFTENEST_S, self.deadline / _SHARE))

    @property
    def missing(self) -> float:
        """Seconds by which the deadline is missed with a machine on demand at once; 0 or less
        where it can be kept."""
        return self.restart + self.duration - self.deadline


@dataclass(frozen=True)
class Stretch:
    """One attempt: when its machine was launched, when its container started and ended, and what
    it said last of the work that is left (seconds), and when. ``agent`` is when its agent started,
    ``heard`` the moment of its last word. None where that was not, or not yet.

    All but the launch are by the machine's clock, which may be off: their differences count.
    ``off`` is by how much it is behind the reader's, None where that is not known."""

    launched: float | None = None
    started: float | None = None
    ended: float | None = None
    left: float | None = None
    told: float | None = None
    heard: float | None = None
    agent: float | None = None
    off: float | None = None

    @property
    def start(self) -> float | None:
        """Seconds from the launch until the container started, as far as two clocks can tell: the
        boot is what either of them says, and not longer than a boot may be."""
        if self.started is None or self.launched is None:
            return None
        if self.agent is None:
            return self.started - self.launched
        says = [self.agent - self.launched]
        if self.off is not None:
            says.append(says[0] + self.off)
        boot = min((one for one in says if one >= 0), default=0.0)
        return min(boot, _LONGEST_BOOT_S) + self.started - self.agent


def stretch_of(
    machine: Mapping[str, Any] | None,
    status: Mapping[str, Any] | None,
    end: Mapping[str, Any] | None,
    submitted_at: datetime,
) -> Stretch:
    """What an attempt's documents say. An end that somebody else wrote for a machine that
    is gone knows no container: the last status does."""

    def moment(*places: tuple[Mapping[str, Any] | None, str]) -> float | None:
        for document, key in places:
            if document is not None and document.get(key):
                return (parse_time(str(document[key])) - submitted_at).total_seconds()
        return None

    told = end if end is not None and end.get("hours_left") is not None else status
    hours = told.get("hours_left") if told is not None else None
    return Stretch(
        launched=moment((machine, "launched_at")),
        started=moment((end, "container_started_at"), (status, "container_started_at")),
        ended=moment((end, "container_ended_at"), (end, "ended_at")),
        left=None if hours is None else float(hours) * 3600,
        told=moment((told, "hours_left_at")) if hours is not None else None,
        heard=moment((status, "updated_at")),
        agent=moment((end, "started_at"), (status, "started_at")),
    )


def work_left(terms: Terms, stretches: Sequence[Stretch], now: float) -> float:
    """Seconds of work left at ``now``: the last that a container said, else the whole, less the
    time that containers have run since, as far as was heard.

    Never less than the time to the next decision: what has not ended has work left, however wrong
    the estimate was.
    """
    left = float(terms.duration)
    for one in stretches:
        if one.started is None:
            continue
        end = one.ended if one.ended is not None else one.heard if one.heard is not None else now
        if one.left is not None:
            left = one.left
            begin = one.started if one.told is None else max(one.started, one.told)
        else:
            begin = one.started
        left -= max(0.0, end - begin)
    return max(left, terms.interval)


def restart_time(terms: Terms, stretches: Sequence[Stretch]) -> float:
    """Seconds from a launch until the machine works: the slowest seen in this run, and not
    less than assumed, for what comes next has more to restore."""
    return max([terms.restart, *(one.start for one in stretches if one.start is not None)])
