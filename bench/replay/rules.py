"""One job on one trace, tick by tick; the policies beside ours; the offline lower bound.

The rules: a (re)start of a machine of either kind, a move to another zone included, takes the
restart time at that machine's price; an idle tick costs nothing; a policy sees this tick's
availability and nothing of the future. Costs are hours of on-demand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dstack_cloud.availability import Seen
from dstack_cloud.deadline import Choice, Kind, State

Policy = Callable[[State], Choice]
_TINY = 1e-6


@dataclass(frozen=True)
class Job:
    """Hours; ``price`` of spot where on-demand costs 1."""

    work: float
    deadline: float
    restart: float
    price: float

    @property
    def on_demand_only(self) -> float:
        return self.work + self.restart


@dataclass(frozen=True)
class Result:
    cost: float
    missed: bool


def replay(job: Job, decide: Policy, zones: Sequence[Sequence[bool]], gap: float) -> Result:
    """Run the job from the first tick of the zones on. ``gap`` in seconds."""
    names = [f"{k:03d}" for k in range(len(zones))]
    prices = dict.fromkeys(names, job.price)
    deadline, restart = job.deadline * 3600, job.restart * 3600
    left, cost, elapsed = job.work * 3600, 0.0, 0.0
    kind: Kind = "wait"
    zone: str | None = None
    starting = 0.0
    seen = Seen.nothing(deadline, restart, gap)
    looked: tuple[bool, ...] | None = None
    up: frozenset[str] = frozenset()
    for tick in range(math.ceil(deadline / gap - 1e-9)):
        look = tuple(one[tick] for one in zones)
        if look != looked:
            looked = look
            up = frozenset(name for name, there in zip(names, look, strict=True) if there)
        if kind == "spot" and zone not in up:
            kind, zone, starting = "wait", None, 0.0
        seen = seen.after(elapsed, up, prices, zone)
        choice = decide(
            State(
                elapsed=elapsed,
                deadline=deadline,
                work_left=left,
                interval=gap,
                restart=restart,
                on_demand=1.0,
                prices=prices,
                up=up,
                seen=seen,
                running=kind,
                zone=zone,
                restart_left=starting,
            )
        )
        if (choice.kind, choice.zone) != (kind, zone):
            kind, zone = choice.kind, choice.zone
            starting = restart
            if kind == "spot" and zone not in up:
                raise ValueError(f"the policy chose zone {zone}, which is not there")
        if kind != "wait":
            ran = min(gap, deadline - elapsed, starting + left)
            cost += ran * (job.price if kind == "spot" else 1.0)
            left -= max(0.0, ran - starting)
            starting = max(0.0, starting - ran)
            if left <= _TINY:
                return Result(cost / 3600, missed=False)
        elapsed += gap
    return Result(cost / 3600, missed=True)


def on_demand_only(_: State) -> Choice:
    return Choice("on-demand")


def greedy(now: State) -> Choice:
    """Spot while there is any, else wait, until the safety net (of "Can't Be Late", section 4):
    where ``2 * restart`` beyond the work would not be left, on-demand to the end."""
    return _spot(now) or Choice("wait" if _free(now) else "on-demand")


def uniform_progress(work: float, now: State) -> Choice:
    """The paper's Uniform Progress (section 4.3) for ``work`` seconds: spot whenever there is any
    until it is lost; without it, on-demand once the work is behind a straight line to the deadline,
    kept until the work is two restarts ahead of it; and the same safety net."""
    if (spot := _spot(now)) is not None:
        return spot
    ahead = 2 * now.restart if now.running == "on-demand" else 0.0
    behind = work - now.work_left < (now.elapsed + ahead) * work / now.deadline - _TINY
    return Choice("on-demand" if behind or not _free(now) else "wait")


def _slack(now: State) -> float:
    return now.deadline - now.elapsed - now.work_left + _TINY


def _free(now: State) -> bool:
    """Whether a tick may be lost."""
    return not now.up and _slack(now) >= 2 * now.restart + now.interval


def _spot(now: State) -> Choice | None:
    if not now.up:
        return None
    if now.zone in now.up:
        if _slack(now) - min(now.restart_left, now.interval) >= now.restart:
            return Choice("spot", now.zone)
    elif _slack(now) >= 2 * now.restart + now.interval:
        return Choice("spot", min(now.up))
    return None


def lower_bound(job: Job, zones: Sequence[Sequence[bool]], gap: float) -> float:
    """No policy, the future known, costs less.

    The Lagrangian dual: an hour of work earns a reward, the best schedule for that reward follows
    by dynamic programming over time (idle, on-demand, spot by zone; a start forfeits the reward of
    its restart), and its cost, net of the reward beyond the work asked for, bounds every schedule's
    from below. The reward with the greatest bound is found by golden section; the bound is concave
    in it. For one schedule that does all the work the two are equal, so the bound is nearly tight.
    """
    tick = gap / 3600
    count = math.ceil(job.deadline / tick - 1e-9)
    hours = [tick] * (count - 1) + [job.deadline - tick * (count - 1)]
    # Spans of equal availability: to start or stop anywhere but at the end of one gains nothing.
    spans: list[tuple[tuple[bool, ...], float]] = []
    for k in range(count):
        look = tuple(zone[k] for zone in zones)
        if spans and spans[-1][0] == look:
            spans[-1] = (look, spans[-1][1] + hours[k])
        else:
            spans.append((look, hours[k]))

    def dual(reward: float) -> float:
        start = reward * job.restart
        idle, on_demand = 0.0, math.inf
        spot = [math.inf] * len(zones)
        for look, length in spans:
            best = min(idle, on_demand, *spot)
            idle = best
            on_demand = min(on_demand, best + start) + (1 - reward) * length
            for k, there in enumerate(look):
                now = min(spot[k], best + start) + (job.price - reward) * length
                spot[k] = now if there else math.inf
        return min(idle, on_demand, *spot) + reward * job.work

    low, high, ratio = 0.0, 2.0 + 2.0 * job.price, (math.sqrt(5) - 1) / 2
    for _ in range(32):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if dual(left) < dual(right):
            low = left
        else:
            high = right
    return max(0.0, dual((low + high) / 2))
