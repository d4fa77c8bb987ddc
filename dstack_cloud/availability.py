"""What was seen of spot: how long it stays and stays away, zone by zone. Pure; seconds throughout.

A `Seen` is summed up look by look (`Seen.after`) and never changed, so whoever follows a run can
fold the looks on record again and arrive at the same one. What the counts are for, and why by
octaves of age: see `deadline`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace

Rates = tuple[tuple[float, float], ...]  # by octave: a second's chance to end, and to grow older


@dataclass(frozen=True)
class Lives:
    """How long something lasted, by octave of age (the first is ``[0, base]``).

    ``ended``, ``outlived``: lives that ended in the octave, or went on beyond it; ``spent``: the
    seconds they were in it, together.
    """

    base: float
    ended: tuple[float, ...]
    outlived: tuple[float, ...]
    spent: tuple[float, ...]

    @staticmethod
    def none(base: float, longest: float) -> Lives:
        """No lives yet, with octaves up to ``longest`` seconds."""
        octaves = 2 + max(0, int(math.log2(max(1.0, longest / base))))
        zero = (0.0,) * octaves
        return Lives(base, zero, zero, zero)

    def octave(self, age: float) -> int:
        if age <= self.base * 1.0001:
            return 0
        return min(len(self.ended) - 1, 1 + int(math.log2(0.9999 * age / self.base)))

    def begin(self, octave: int) -> float:
        return self.base * 2.0 ** (octave - 1) if octave else 0.0

    def width(self, octave: int) -> float:
        return self.begin(octave + 1) - self.begin(octave)

    def plus(self, age: float, *, ended: bool, since_age: float = 0.0) -> Lives:
        """With one life more, watched from ``since_age`` to ``age`` seconds."""
        last = self.octave(age)
        outlived, spent = list(self.outlived), list(self.spent)
        over = list(self.ended)
        for k in range(self.octave(since_age), last):
            outlived[k] += 1
            spent[k] += self.width(k)
        if ended:
            over[last] += 1
            spent[last] += age - self.begin(last)
        return Lives(self.base, tuple(over), tuple(outlived), tuple(spent))

    def rates(self, ended: float, outlived: float, kin: Lives | None = None) -> Rates:
        """With so many lives more in each octave, shared out as those of ``kin`` if given."""
        found, both = [], ended + outlived
        for k, width in enumerate(map(self.width, range(len(self.ended)))):
            if kin is not None:
                ended = both * (kin.ended[k] + 1) / (kin.ended[k] + kin.outlived[k] + 2)
            time = self.spent[k] + width * (both - ended / 2)
            found.append(((self.ended[k] + ended) / time, (self.outlived[k] + both - ended) / time))
        return tuple(found)

    def expected(self, age: float, longest: float, kin: Lives) -> float:
        """Seconds that a life of this age will still last, at most ``longest``."""
        alive, total, last = 1.0, 0.0, len(self.ended) - 1
        for k, (end, _) in enumerate(self.rates(1, 1, kin)):
            width = longest if k == last else self.begin(k + 1) - max(age, self.begin(k))
            if width > 0:
                total += alive * (1 - math.exp(-end * width)) / end
                alive *= math.exp(-end * width)
        return min(total, longest)


@dataclass(frozen=True)
class Forecast:
    """What is learned: stays on spot, absences, and how often another zone took over at once."""

    up: Lives
    down: Lives
    lost: int
    replaced: tuple[int, ...]  # by the octave of age of the zone that took over


@dataclass(frozen=True)
class Seen:
    """Availability since the job began, summed up; `after` adds one look at the zones.

    ``zone`` is the one that a job on spot is in, or would be; None while no zone is up.
    """

    longest: float
    now: Forecast
    used: Forecast  # `now` at moments that grow rarer, so that a plan serves for longer
    zones: Mapping[str, Lives] = field(default_factory=dict)
    since: Mapping[str, float] = field(default_factory=dict)  # the zones that are up
    zone: str | None = None
    down_since: float | None = None
    events: int = 0
    planned: int = 0

    @staticmethod
    def nothing(deadline: float, restart: float, interval: float) -> Seen:
        """Before the first look. The first octave ends at ``restart`` (what is shorter is of no
        use) or ``interval`` (what is shorter is not seen)."""
        lives = Lives.none(max(restart, interval, 1.0), deadline)
        start = Forecast(lives, lives, 0, (0,) * len(lives.ended))
        return Seen(deadline, start, start)

    def after(
        self, elapsed: float, up: Set[str], prices: Mapping[str, float], running: str | None
    ) -> Seen:
        """With the zones ``up`` at ``elapsed``, spot running in the zone ``running``, if any."""
        keeps = running if running in up else self.zone
        if self.events and self.since.keys() == up and keeps == self.zone:
            return self
        now, zones, since = self.now, dict(self.zones), dict(self.since)
        for name in sorted(since.keys() - up):
            lasted = elapsed - since.pop(name)
            own = zones.get(name, self._empty())
            zones[name] = own.plus(lasted, ended=True)
            now = replace(now, up=now.up.plus(lasted, ended=True))
        since |= dict.fromkeys(up - since.keys(), elapsed)
        seen = replace(self, now=now, zones=zones, since=since)
        zone = keeps if keeps in up else seen.best(elapsed, up, prices)
        down_since = self.down_since
        if self.zone is not None and self.zone not in up:
            replaced = list(now.replaced)
            if zone is not None:
                replaced[now.up.octave(elapsed - since[zone])] += 1
            now = replace(now, lost=now.lost + 1, replaced=tuple(replaced))
        if zone is None and down_since is None:
            down_since = elapsed
        elif zone is not None and down_since is not None:
            now = replace(now, down=now.down.plus(elapsed - down_since, ended=True))
            down_since = None
        events = self.events + 1
        fresh = events >= self.planned * 1.2 + 1
        return replace(
            seen,
            now=now,
            used=now if fresh else self.used,
            zone=zone,
            down_since=down_since,
            events=events,
            planned=events if fresh else self.planned,
        )

    def best(self, elapsed: float, up: Set[str], prices: Mapping[str, float]) -> str | None:
        """The zone whose hour of work is expected to cost least, its start included."""
        start = self.now.up.base

        def cost(name: str) -> tuple[float, float, str]:
            own = self.zones.get(name, self._empty())
            lasts = own.expected(elapsed - self.since[name], self.longest, self.now.up)
            return (prices[name] * (1 + start / lasts), -lasts, name)

        return min(up, key=cost) if len(up) > 1 else next(iter(up), None)

    def _empty(self) -> Lives:
        return Lives.none(self.now.up.base, self.longest)
