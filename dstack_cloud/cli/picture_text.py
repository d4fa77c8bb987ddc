"""A run's picture in a terminal: a line of blocks for each price, one for the run."""

from __future__ import annotations

from datetime import datetime

from dstack_cloud.lifecycle.picture import Doing, Picture, Series
from dstack_cloud.units import format_price

_LEVELS = "▁▂▃▄▅▆▇█"
_SIGNS = {Doing.WAITING: "·", Doing.SPOT: "█", Doing.ON_DEMAND: "▓"}
_LEAST = 20


def picture_lines(picture: Picture, columns: int) -> list[str]:
    """The picture as lines no longer than ``columns``, where those are enough for one."""
    names = [f"{'*' if one.used else ' '} {one.name}" for one in picture.series]
    left = max(map(len, [*names, picture.run]))
    right = len(" 0.000 to 0.000 $/h")
    width = max(_LEAST, columns - left - right - 2)
    moments = _moments(picture, width)
    lines = [
        f"{name:<{left}}  {_curve(one, moments)} {format_price(one.low)} to "
        f"{format_price(one.high)} $/h"
        for name, one in zip(names, picture.series, strict=True)
    ]
    lines.append(f"{picture.run:<{left}}  {_timeline(picture, moments)}")
    first, last = _clock(picture.start), _clock(picture.end)
    lines.append(f"{'':<{left}}  {first}{last:>{max(width - len(first), len(last) + 1)}}")
    legend = [f"{sign} {doing}" for doing, sign in _SIGNS.items()] + ["✕ taken away"]
    if any(one.used for one in picture.series):
        legend.append("* had by the run")
    lines.append(f"{'':<{left}}  {'   '.join(legend)}")
    return lines


def _moments(picture: Picture, width: int) -> list[datetime]:
    """The middle of each column's time."""
    step = (picture.end - picture.start) / width
    return [picture.start + step * (column + 0.5) for column in range(width)]


def _curve(series: Series, moments: list[datetime]) -> str:
    low, high = series.low, series.high
    cells = []
    for moment in moments:
        price = series.at(moment)
        if price is None:
            cells.append(" ")
        elif high == low:
            cells.append(_LEVELS[3])
        else:
            cells.append(_LEVELS[round((price - low) / (high - low) * (len(_LEVELS) - 1))])
    return "".join(cells)


def _timeline(picture: Picture, moments: list[datetime]) -> str:
    cells = []
    for moment in moments:
        here = [span for span in picture.spans if span.start <= moment <= span.end]
        cells.append(_SIGNS[here[-1].doing] if here else " ")
    length = (picture.end - picture.start).total_seconds()
    for moment in picture.taken:
        share = (moment - picture.start).total_seconds() / length if length else 0
        cells[min(int(share * len(cells)), len(cells) - 1)] = "✕"
    return "".join(cells)


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}Z"
