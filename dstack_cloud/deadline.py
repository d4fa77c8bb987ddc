"""Spot, on-demand or wait: the choice that keeps a deadline at the least cost.

`decide` is a pure function of what is known now: no clock, no randomness, nothing of the future.
Times are seconds; prices are USD an hour, and only their ratios matter.

**The deadline is kept.** Let ``slack = deadline - elapsed - work_left``, the time that may still
be lost. A machine loses one ``restart`` before it works, and nothing while it works. Call a state
*safe* when on-demand runs and ``slack >= restart_left``, or else when ``slack >= restart``:
on-demand could start now and be in time. Until the next decision, at most ``interval`` away (a
lost machine is a decision by itself), on-demand that goes on keeps ``slack - restart_left``;
waiting loses at most ``interval``; spot loses what is left of its start, ``min(restart_left,
interval)`` at most. So from a safe state waiting is allowed if ``slack - interval >= restart``,
spot if ``slack - min(restart_left, interval) >= restart``, and both lead to safe states; otherwise
on-demand is taken or kept, which leads from a safe state to a safe state without a condition. By
induction all states are safe if the first one is, and a safe state at the deadline has ``slack =
-work_left >= 0``: the work is done. The forecast only picks among allowed choices, so however
wrong it is, no deadline is missed; only lack of on-demand capacity, late decisions or starts
slower than ``restart`` can do that.

**The cost is kept low** by weighing what an hour of slack is worth. "Can't Be Late: Optimizing
Spot Instance Savings under Deadlines" (Wu et al., NSDI '24) shows that the greedy way, waiting for
spot until one must not, spends its slack first and then cannot use the spot of the rest; its
Uniform Progress spreads the slack along a straight line, blind to how long spot stays and stays
away. Here both are learned while the job runs:

1. *What was seen.* Stays and absences of spot are mostly short and sometimes very long: the longer
   one has lasted, the longer it will. So they are counted by octaves of age: how many ended in an
   octave, how many outlived it, how long they spent in it. Each octave starts from two
   lives, one that ended and one that outlived it (Laplace's rule); of absences from a third that
   outlived it, since slack lost to hope cannot be bought back; and of Z zones, from which the
   steadiest is chosen, Z outlive for one that ends, and in Z - 1 of Z cases another is ready to
   take over. No rate or length is assumed; how this prior was chosen and tested:
   docs/decisions/deadline-policy.md.
2. *What it is worth.* The octaves make spot a Markov chain: end, or grow into the next octave. The
   least expected cost of the rest as a function of work left, slack, age and what runs solves the
   Bellman equation, upwind on a grid of work and slack, which both only fall (Kushner & Dupuis,
   "Numerical Methods for Stochastic Control Problems in Continuous Time", 1992). Spot may be lost
   before it works, which is what makes short stays worthless.
3. *What to do.* The allowed choice that costs least. Spot that runs is kept. Where nothing runs and
   the slack is enough for another try, spot that is up is taken whatever was seen: what is learned
   from a bad stretch would outlast it, for on-demand learns no better. Of several zones the one is
   taken whose hour of work is expected to cost least, its start included.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from dstack_cloud.availability import Rates, Seen

Kind = Literal["wait", "spot", "on-demand"]
_Grid = list[list[float]]  # [work][slack]

_ROWS, _COLUMNS = 14, 16  # of the grid: coarser costs money, finer time
_SWEEPS = 6  # repeats of a cell, at most
_TINY = 1e-6  # seconds: what rounding may add up to over a run


@dataclass(frozen=True)
class State:
    """All that a choice depends on. Seconds, and USD an hour.

    ``interval``: the longest time until the next decision, which the loss of a machine is, too.
    ``restart``: from the call for a machine until it works, at most. ``prices``: of spot, today, in
    every zone that may be used and is cheaper than ``on_demand``; ``up``: those of them where a
    machine can be had, or runs. ``seen``: `Seen.after` this look. ``running``: what runs (a machine
    that was lost does not), in which ``zone`` if it is spot, ``restart_left`` from working.
    ``on_demand_up``: whether on-demand has capacity, as far as known.
    """

    elapsed: float
    deadline: float
    work_left: float
    interval: float
    restart: float
    on_demand: float
    prices: Mapping[str, float]
    up: Set[str]
    seen: Seen
    running: Kind = "wait"
    zone: str | None = None
    restart_left: float = 0.0
    on_demand_up: bool = True


@dataclass(frozen=True)
class Choice:
    """What should run from now on; ``zone`` with spot only; ``why`` for the log."""

    kind: Kind
    zone: str | None = None
    why: str = ""


def decide(now: State) -> Choice:
    """The cheapest choice that keeps the deadline. See the module for the reasoning.

    Where on-demand is due and has no capacity, any spot there is.
    """
    choice = _choose(now)
    if choice.kind != "on-demand" or now.on_demand_up or now.running == "on-demand":
        return choice
    zone = now.zone if now.zone in now.up else now.seen.zone
    kind: Kind = "wait" if zone is None else "spot"
    return Choice(kind, zone, "on-demand has no capacity")


def _choose(now: State) -> Choice:
    if now.work_left <= 0:
        return Choice("wait", why="the work is done")
    slack = now.deadline - now.elapsed - now.work_left - now.restart  # before on-demand must start
    holds = now.running == "spot" and now.zone in now.up
    zone = now.zone if holds else now.seen.zone
    start = now.restart_left if holds else now.restart
    may_wait = slack + _TINY >= now.interval
    if zone is not None and slack + _TINY >= min(start, now.interval):
        if holds:
            return Choice("spot", zone, "it runs")
        if now.running == "wait" and slack >= now.restart + now.interval:
            return Choice("spot", zone, "it is up, and there is time for another try")
        ride, spot = _costs(now, slack)
        if spot <= ride:
            return Choice("spot", zone, "it is likely to be worth its start")
        return Choice("on-demand", why="spot is not likely to last")
    if not may_wait or not now.prices:
        return Choice("on-demand", why="no time is left to lose")
    ride, wait = _costs(now, slack)
    if wait < ride - _TINY:
        return Choice("wait", why="spot is likely to be back in time")
    return Choice("on-demand", why="the slack is worth more than waiting saves")


def _costs(now: State, slack: float) -> tuple[float, float]:
    """Expected seconds of on-demand that the rest costs: with on-demand now, and with spot where
    there is any, else with waiting."""
    seen, zones, step = now.seen, max(1, len(now.prices)), now.interval
    up, down = seen.used.up, seen.used.down
    since = seen.down_since if seen.zone is None else seen.since[seen.zone]
    age = now.elapsed - (now.elapsed if since is None else since)
    if seen.zone is None:
        down = down.plus(age, ended=False)
    else:
        up = up.plus(age, ended=False)
    up_rates, down_rates = up.rates(2 / (zones + 1), 2 * zones / (zones + 1)), down.rates(1, 2)
    counts = [count + (not k) for k, count in enumerate(seen.used.replaced)]
    another = (sum(counts) + zones - 2) / (seen.used.lost + zones) / sum(counts)
    again = tuple(another * count for count in counts) if zones > 1 else ()
    price = min((now.prices[z] for z in now.up), default=min(now.prices.values(), default=0.0))
    price = round(price / now.on_demand, 2)
    plan = _solve(
        up_rates, down_rates, again, price, now.restart, _rung(now.work_left), _rung(slack)
    )
    b = up.octave(age + step)
    older = min(b + 1, len(up_rates) - 1)
    runs = now.running == "on-demand"
    ran = min(step, now.work_left) if runs else 0.0

    def at(grid: _Grid, spent: float) -> float:
        return plan.at(grid, now.work_left - ran, slack - spent)

    def later(rates: Rates, grids: list[_Grid], spent: float, ended: float) -> float:
        end, grow = rates[b]
        leaves = (1 - math.exp(-(end + grow) * step)) / (end + grow)
        stay = 1 - leaves * (end + grow)
        return stay * at(grids[b], spent) + leaves * (grow * at(grids[older], spent) + end * ended)

    if seen.zone is not None:
        spot = plan.start(b, now.work_left, slack)
        if not runs:
            return now.restart + at(plan.od_up[b], now.restart), spot
        ended = (1 - sum(again)) * at(plan.od_down[0], 0)
        ended += sum(p * at(plan.od_up[k], 0) for k, p in enumerate(again) if p)
        return ran + later(up_rates, plan.od_up, 0, ended), spot
    if runs:
        wait = plan.at(plan.idle[b], now.work_left, slack) if slack > 0 else math.inf
        return ran + later(down_rates, plan.od_down, 0, at(plan.od_up[0], 0)), wait
    start = step + now.restart
    back = min(plan.start(0, now.work_left, slack - step), now.restart + at(plan.od_up[0], start))
    rest = later(down_rates, plan.idle, step, back)
    return now.restart + at(plan.od_down[b], now.restart), rest


def _rung(value: float) -> float:
    """The next rung of a ladder, so that a plan serves until a fifth of work or slack is gone."""
    return 1.25 ** math.ceil(math.log(max(value, 60.0), 1.25) - 1e-9)


@dataclass(frozen=True)
class _Values:
    """Expected cost of the rest, in seconds of on-demand, by octave of the age of what spot does.

    ``spot`` runs; on-demand runs while spot is up (``od_up``) or not (``od_down``); nothing runs
    and spot is down (``idle``). Slack is before on-demand must start. ``starts``: the chances that
    spot is lost in its start, and that it grows into the next octave.
    """

    price: float
    restart: float
    again: tuple[float, ...]
    starts: list[tuple[float, float]]
    step: float
    slacks: tuple[float, ...]
    spot: list[_Grid]
    od_up: list[_Grid]
    od_down: list[_Grid]
    idle: list[_Grid]

    def at(self, grid: _Grid, work: float, slack: float) -> float:
        """Linear between the grid's points; without slack on-demand is all that is left."""
        if slack <= 0:
            return work
        slack = min(slack, self.slacks[-1])
        row = min(int(work / self.step), len(grid) - 2)
        x = work / self.step - row
        j = max(1, bisect_left(self.slacks, slack))
        y = (slack - self.slacks[j - 1]) / (self.slacks[j] - self.slacks[j - 1])
        low, high = grid[row], grid[row + 1]
        return (1 - x) * ((1 - y) * low[j - 1] + y * low[j]) + x * (
            (1 - y) * high[j - 1] + y * high[j]
        )

    def start(self, octave: int, work: float, slack: float) -> float:
        """With a start of spot of this age: half of it is paid where the zone is lost meanwhile."""
        lost, grown = self.starts[octave]
        paid, left = self.price * self.restart, slack - self.restart

        def spot(b: int) -> float:
            return self.at(self.spot[b], work, left)

        idle = self.at(self.idle[0], work, left) if left > 0 else work + self.restart
        other = (1 - sum(self.again)) * idle
        other += sum(p * (paid + spot(b)) for b, p in enumerate(self.again) if p)
        older = min(octave + 1, len(self.spot) - 1)
        works = (1 - lost - grown) * spot(octave) + grown * spot(older)
        return paid * (1 - lost / 2) + works + lost * other


@lru_cache(maxsize=64)
def _solve(
    up: Rates,
    down: Rates,
    again: tuple[float, ...],
    price: float,
    restart: float,
    work: float,
    slack: float,
) -> _Values:
    """The Bellman equation on a grid from nothing to ``work`` and ``slack`` seconds.

    ``again``: the chance, by octave of its age, that another zone is up when one is lost. Work and
    slack never grow, so one sweep visits each cell after those it depends on; only lives far
    shorter than a cell lead back to the cell itself, which is repeated until it settles.
    """
    h = work / (_ROWS - 1)
    slacks = tuple(slack * (j / (_COLUMNS - 1)) ** 1.5 for j in range(_COLUMNS))
    ages = range(len(up))

    def grids(count: int) -> list[_Grid]:
        return [[[0.0] * _COLUMNS for _ in range(_ROWS)] for _ in range(count)]

    spot, od_up, od_down, idle = (grids(len(ages)) for _ in range(4))
    none = 1 - sum(again)
    # Where a start leads on the slack axis: the column above, and the share of it.
    lands = []
    for s in slacks:
        k = bisect_left(slacks, s - restart) if s > restart else 0
        share = (s - restart - slacks[k - 1]) / (slacks[k] - slacks[k - 1]) if k else 0.0
        lands.append((k, share))
    q = 1 / h
    starts = _starts(up, restart)
    ups = [(b, e, g, 1 / (q + e + g)) for b, (e, g) in _chain(up)]
    downs = [(b, e, g, 1 / (q + e + g)) for b, (e, g) in _chain(down)]
    for i in range(1, _ROWS):
        w = i * h
        sp, ou, od, no = ([g[i] for g in kind] for kind in (spot, od_up, od_down, idle))
        sp0, ou0, od0 = ([g[i - 1] for g in kind] for kind in (spot, od_up, od_down))
        for b in ages:
            ou[b][0] = od[b][0] = w
            no[b][0] = w + restart
        for b, e, g, scale in ups:
            older = sp[b + 1][0] if g else 0.0
            sp[b][0] = (price + q * sp0[b][0] + e * (w + restart) + g * older) * scale
        for j in range(1, _COLUMNS):
            r = 1 / (slacks[j] - slacks[j - 1])
            k, share = lands[j]
            for row in (*sp, *ou, *od, *no):
                row[j] = row[j - 1]
            for _ in range(_SWEEPS):
                before = no[0][j]
                # What a start costs and leaves, by age of the zone: spot, and on-demand instead.
                if k:
                    works = [share * row[k] + (1 - share) * row[k - 1] for row in sp]
                    fails = none * (share * no[0][k] + (1 - share) * no[0][k - 1])
                    for b, chance in enumerate(again):
                        fails += chance * (price * restart + works[b])
                    ride = restart + share * ou[0][k] + (1 - share) * ou[0][k - 1]
                else:
                    works, fails, ride = [row[0] for row in sp], restart + w, restart + w
                begin = [
                    price * restart * (1 - x / 2) + (1 - x - y) * here + y * older + x * fails
                    for (x, y), here, older in zip(
                        starts, works, (*works[1:], works[-1]), strict=True
                    )
                ]
                if slacks[j] < restart:
                    begin = [math.inf] * len(begin)
                fresh = min(begin[0], ride)
                lost, lost_od = none * before, none * od[0][j]
                for b, chance in enumerate(again):
                    if chance:
                        lost += chance * min(begin[b], ride)
                        lost_od += chance * ou[b][j]
                for b, e, g, scale in ups:
                    older, older_od = (sp[b + 1][j], ou[b + 1][j]) if g else (0.0, 0.0)
                    sp[b][j] = (price + q * sp0[b][j] + e * lost + g * older) * scale
                    goes_on = (1 + q * ou0[b][j] + e * lost_od + g * older_od) * scale
                    ou[b][j] = goes_on if goes_on < begin[b] else begin[b]
                for b, e, g, scale in downs:
                    older, older_od = (no[b + 1][j], od[b + 1][j]) if g else (0.0, 0.0)
                    wait = (r * no[b][j - 1] + e * fresh + g * older) / (r + e + g)
                    if k:
                        go = restart + share * od[b][k] + (1 - share) * od[b][k - 1]
                    else:
                        go = restart + w
                    no[b][j] = wait if wait < go else go
                    goes_on = (1 + q * od0[b][j] + e * ou[0][j] + g * older_od) * scale
                    od[b][j] = goes_on if goes_on < no[b][j] else no[b][j]
                if abs(no[0][j] - before) < 2e-4 * w:
                    break
    return _Values(price, restart, again, starts, h, slacks, spot, od_up, od_down, idle)


def _chain(rates: Rates) -> list[tuple[int, tuple[float, float]]]:
    """Oldest first; the last octave only ends."""
    last = len(rates) - 1
    return [(b, (e, g if b < last else 0.0)) for b, (e, g) in reversed(list(enumerate(rates)))]


def _starts(rates: Rates, restart: float) -> list[tuple[float, float]]:
    """By octave, the chances to end and to grow older within a start."""
    found = []
    for _, (end, grow) in reversed(_chain(rates)):
        share = (1 - math.exp(-(end + grow) * restart)) / (end + grow)
        found.append((end * share, grow * share))
    return found
