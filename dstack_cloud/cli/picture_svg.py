"""A run's picture as one SVG, or one HTML page around it: no script, no font, nothing fetched."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import escape

from dstack_cloud.lifecycle.picture import Doing, Picture, Series
from dstack_cloud.units import format_price

_WIDTH, _LEFT, _RIGHT = 960, 70, 20
_TOP, _PLOT = 40, 260
_BAR_TOP, _BAR = _TOP + _PLOT + 40, 26
_LEGEND_TOP, _LINE = _BAR_TOP + _BAR + 34, 20
# Told apart by people who see few colours, too: the palette of Okabe and Ito (2008).
_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A6A00", "#000000"]
_FILLS = {Doing.WAITING: "#DDDDDD", Doing.SPOT: "#009E73", Doing.ON_DEMAND: "#E69F00"}
_TICKS_S = (60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400, 172800, 604800)


def svg(picture: Picture) -> str:
    """The picture as a whole SVG document."""
    legend = len(picture.series) + 1
    height = _LEGEND_TOP + _LINE * legend + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="12">',
        f"<title>{escape(picture.run)}: spot prices and attempts</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#FFFFFF"/>',
        f'<text x="{_LEFT}" y="22" font-size="15">{escape(picture.run)} · spot prices, '
        "USD an hour</text>",
        *_grid(picture),
        *_curves(picture),
        *_bars(picture),
        *_legend(picture),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def html(picture: Picture) -> str:
    """One HTML page with the picture in it and the run's attempts in words."""
    rows = "\n".join(
        f"<tr><td>{_clock(span.start)}</td><td>{_clock(span.end)}</td>"
        f"<td>{escape(span.words)}</td></tr>"
        for span in picture.spans
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f"<title>{escape(picture.run)}</title>\n"
        "<style>body{font-family:sans-serif;margin:2em}td{padding:.2em 1em .2em 0}"
        "svg{max-width:100%;height:auto}</style>\n"
        f"{svg(picture)}<table>\n{rows}\n</table>\n</html>\n"
    )


def _x(picture: Picture, moment: datetime) -> float:
    length = (picture.end - picture.start).total_seconds() or 1
    share = (moment - picture.start).total_seconds() / length
    return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * min(max(share, 0), 1), 1)


def _top_price(picture: Picture) -> float:
    highest = max((float(one.high) for one in picture.series), default=0)
    return highest * 1.1 or 1


def _y(price: float, top: float) -> float:
    return round(_TOP + _PLOT * (1 - price / top), 1)


def _grid(picture: Picture) -> list[str]:
    parts, right, top = [], _WIDTH - _RIGHT, _top_price(picture)
    for step in range(5):
        price = top * step / 4
        y = _y(price, top)
        parts.append(f'<path d="M{_LEFT} {y}H{right}" stroke="#DDDDDD"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{price:.3f}</text>')
    for moment in _ticks(picture.start, picture.end):
        x = _x(picture, moment)
        parts.append(f'<path d="M{x} {_TOP}V{_BAR_TOP + _BAR}" stroke="#EEEEEE"/>')
        day = f"{moment:%d %b %H:%M}"
        parts.append(f'<text x="{x}" y="{_TOP + _PLOT + 18}" text-anchor="middle">{day}</text>')
    if not picture.series:
        parts.append(
            f'<text x="{_WIDTH / 2}" y="{_TOP + _PLOT / 2}" text-anchor="middle" fill="#666666">'
            "no spot price is known of this time</text>"
        )
    return parts


def _ticks(start: datetime, end: datetime) -> list[datetime]:
    """Round moments (UTC), about eight."""
    length = (end - start).total_seconds()
    step = next((one for one in _TICKS_S if length / one <= 8), _TICKS_S[-1])
    first = -(-int(start.timestamp()) // step) * step
    begin = start + timedelta(seconds=first - start.timestamp())
    found = [begin + timedelta(seconds=step * number) for number in range(int(length / step) + 1)]
    return [moment for moment in found if moment <= end]


def _curves(picture: Picture) -> list[str]:
    top = _top_price(picture)
    parts = []
    for one, colour in reversed(list(zip(picture.series, _COLOURS, strict=False))):
        width, dash = (2.5, "") if one.used else (1.2, ' stroke-dasharray="4 3"')
        parts.append(
            f'<path d="{_steps(picture, one, top)}" fill="none" stroke="{colour}" '
            f'stroke-width="{width}"{dash}><title>{escape(one.name)}</title></path>'
        )
    return parts


def _steps(picture: Picture, series: Series, top: float) -> str:
    """A price holds until the next one: a line of steps."""
    path = ""
    for since, price in series.points:
        x, y = _x(picture, since), _y(float(price), top)
        path += f"H{x}V{y}" if path else f"M{x} {y}"
    return f"{path}H{_x(picture, picture.end)}"


def _bars(picture: Picture) -> list[str]:
    parts = [f'<text x="{_LEFT - 8}" y="{_BAR_TOP + 17}" text-anchor="end">run</text>']
    for span in picture.spans:
        x = _x(picture, span.start)
        width = round(max(_x(picture, span.end) - x, 0.5), 1)
        parts.append(
            f'<rect x="{x}" y="{_BAR_TOP}" width="{width}" height="{_BAR}" '
            f'fill="{_FILLS[span.doing]}"><title>{escape(span.words)}, {_clock(span.start)} to '
            f"{_clock(span.end)}</title></rect>"
        )
    for moment in picture.taken:
        x, y = _x(picture, moment), _BAR_TOP + _BAR / 2
        parts.append(
            f'<path d="M{x - 6} {y - 6}L{x + 6} {y + 6}M{x - 6} {y + 6}L{x + 6} {y - 6}" '
            f'stroke="#C00000" stroke-width="3"><title>taken away, {_clock(moment)}</title></path>'
        )
    return parts


def _legend(picture: Picture) -> list[str]:
    parts = []
    x = _LEFT
    for doing, fill in _FILLS.items():
        parts.append(f'<rect x="{x}" y="{_LEGEND_TOP - 10}" width="14" height="12" fill="{fill}"/>')
        parts.append(f'<text x="{x + 20}" y="{_LEGEND_TOP}">{doing}</text>')
        x += 120
    parts.append(
        f'<text x="{x}" y="{_LEGEND_TOP}" fill="#C00000">✕ the machine was taken away</text>'
    )
    for number, (one, colour) in enumerate(zip(picture.series, _COLOURS, strict=False), 1):
        y = _LEGEND_TOP + _LINE * number
        words = f"{one.name}: {format_price(one.low)} to {format_price(one.high)} $/h"
        had = ", had by the run" if one.used else ""
        parts.append(
            f'<path d="M{_LEFT} {y - 4}h14" stroke="{colour}" stroke-width="3"/>'
            f'<text x="{_LEFT + 20}" y="{y}">{escape(words)}{had}</text>'
        )
    return parts


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"
