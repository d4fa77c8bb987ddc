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


KINDS: dict[str, Callable[[int, float], list[bool]]] = {
    "markov, short": lambda seed, gap: markov(seed, gap, up_hours=0.7, down_hours=0.5),
    "markov, long": lambda seed, gap: markov(seed, gap, up_hours=12, down_hours=8),
    "markov, scarce": lambda seed, gap: markov(seed, gap, up_hours=0.7, down_hours=3),
    "nearly always": lambda seed, gap: markov(seed, gap, up_hours=30, down_hours=0.3),
    "nearly never": lambda seed, gap: markov(seed, gap, up_hours=0.5, down_hours=30),
    "heavy tails": heavy,
    "diurnal": diurnal,
    "flapping": flapping,
}
