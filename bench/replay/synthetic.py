"""Made traces of very different statistics, from a printed seed; no trace file is needed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable


def _alternate(
    ticks: int, draw_up: Callable[[], float], draw_down: Callable[[], float], up: bool
) -> list[bool]:
    trace: list[bool] = []
    while len(trace) < ticks:
        length = max(1, round(draw_up() if up else draw_down()))
        trace += [up] * min(length, ticks)
        up = not up
    return trace[:ticks]


def markov(
    seed: int, gap: float, days: float = 20, up_hours: float = 3.0, down_hours: float = 2.0
) -> list[bool]:
    """Stays and absences of exponential length with these means."""
    rng = random.Random(seed)
    tick = gap / 3600
    return _alternate(
        int(days * 24 / tick),
        lambda: rng.expovariate(tick / up_hours),
        lambda: rng.expovariate(tick / down_hours),
        rng.random() < up_hours / (up_hours + down_hours),
    )


def heavy(
    seed: int, gap: float, days: float = 20, up_hours: float = 0.3, down_hours: float = 0.3
) -> list[bool]:
    """Pareto lengths of tail index 1, from these least lengths to a fifth of the trace."""
    rng = random.Random(seed)
    tick = gap / 3600
    most = days * 24 / 5 / tick
    return _alternate(
        int(days * 24 / tick),
        lambda: min(most, up_hours / tick / (1 - rng.random())),
        lambda: min(most, down_hours / tick / (1 - rng.random())),
        rng.random() < 0.5,
    )


def diurnal(seed: int, gap: float, days: float = 20) -> list[bool]:
    """Up by night, mostly, with short breaks."""
    rng = random.Random(seed)
    ticks = int(days * 86400 / gap)
    trace = []
    up = True
    for tick in range(ticks):
        chance = 0.5 + 0.45 * math.cos(2 * math.pi * tick * gap / 86400)
        if rng.random() < gap / 3600 * 2:
            up = rng.random() < chance
        trace.append(up)
    return trace


def flapping(seed: int, gap: float, days: float = 20) -> list[bool]:
    """Another answer at every tick."""
    return [(tick + seed) % 2 == 0 for tick in range(int(days * 86400 / gap))]


def noise(seed: int, gap: float, days: float = 20) -> list[bool]:
    """Up or not by the toss of a coin at every tick."""
    rng = random.Random(seed)
    return [rng.random() < 0.5 for _ in range(int(days * 86400 / gap))]


def regimes(seed: int, gap: float, days: float = 20) -> list[bool]:
    """Half a day of plenty, half a day of scarcity, and so on."""
    trace: list[bool] = []
    while len(trace) * gap < days * 86400:
        plenty = (len(trace) * gap // 43200 + seed) % 2 == 0
        up_hours, down_hours = (8.0, 0.5) if plenty else (0.5, 6.0)
        trace += markov(seed * 1009 + len(trace), gap, 0.5, up_hours, down_hours)
    return trace


def bursts(seed: int, gap: float, days: float = 20) -> list[bool]:
    """A long stay, hours of short ones, a long absence, and so on."""
    rng = random.Random(seed)
    trace: list[bool] = []
    while len(trace) * gap < days * 86400:
        trace += [True] * (1 + int(rng.expovariate(gap / 36000)))
        short = 0.05 + rng.expovariate(6.0)  # days
        trace += markov(rng.randrange(10**6), gap, short, 0.2, 0.4)
        trace += [False] * (1 + int(rng.expovariate(gap / 21600)))
    return trace


def together(kind: str, seed: int, gap: float, count: int, *, alike: bool) -> list[list[bool]]:
    """Zones of a kind; where they are ``alike``, all are away at the same times, besides their
    own."""
    zones = [KINDS[kind](seed * 100 + k, gap) for k in range(count)]
    if not alike:
        return zones
    common = markov(seed + 9000, gap, up_hours=3.0, down_hours=3.0)
    return [[a and b for a, b in zip(zone, common, strict=False)] for zone in zones]


KINDS: dict[str, Callable[[int, float], list[bool]]] = {
    "markov, short": lambda seed, gap: markov(seed, gap, up_hours=0.7, down_hours=0.5),
    "markov, long": lambda seed, gap: markov(seed, gap, up_hours=12, down_hours=8),
    "markov, scarce": lambda seed, gap: markov(seed, gap, up_hours=0.7, down_hours=3),
    "nearly always": lambda seed, gap: markov(seed, gap, up_hours=30, down_hours=0.3),
    "nearly never": lambda seed, gap: markov(seed, gap, up_hours=0.5, down_hours=30),
    "heavy tails": heavy,
    "diurnal": diurnal,
    "flapping": flapping,
    "markov, tiny": lambda seed, gap: markov(seed, gap, up_hours=0.2, down_hours=0.2),
    "noise": noise,
    "regimes": regimes,
    "bursts": bursts,
    "always": lambda seed, gap: [True] * int(20 * 86400 / gap),
    "never": lambda seed, gap: [False] * int(20 * 86400 / gap),
}
