"""Sizes, durations, money and moments: parsing and printing, nothing else.

Sizes are bytes (``int``), durations seconds (``int``), money USD (``Decimal``), moments aware UTC
``datetime``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40

# GB and GiB mean the same here, as they do on the clouds' own instance pages: a request for
# "16GB" must match a machine that the vendor sells as 16 GB and that has 16 GiB.
_SIZE_UNITS = {"": 1, "B": 1, "K": KIB, "M": MIB, "G": GIB, "T": TIB}
_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?\s*$", re.IGNORECASE)
_DURATION_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", re.IGNORECASE)


def parse_size(text: str | int) -> int:
    """Bytes of ``16GB``, ``16GiB``, ``512MB`` or a bare number of bytes.

    Raises ValueError with a sentence for the user.
    """
    match = _SIZE.match(str(text))
    if match is None or isinstance(text, bool):
        raise ValueError(f"'{text}' is not a size; write it like 16GB or 512MB")
    return int(Decimal(match[1]) * _SIZE_UNITS[match[2].upper()])


def format_size(size: int) -> str:
    """``78 MB``, ``1.2 GB``: three digits at most, for people."""
    if size < 1000:
        return f"{size} B"
    value = float(size)
    for unit in ("KB", "MB", "GB", "TB"):
        value /= 1024
        if value < 999.5:
            digits = 0 if value >= 10 or value == int(value) else 1
            return f"{value:.{digits}f} {unit}"
    return f"{value / 1024:.1f} PB"


def parse_duration(text: str | int) -> int:
    """Seconds of ``90``, ``90s``, ``10m``, ``1h30m``, ``2d``.

    Raises ValueError with a sentence for the user.
    """
    compact = str(text).replace(" ", "")
    parts = _DURATION.findall(compact)
    if isinstance(text, bool) or not compact or "".join(n + u for n, u in parts) != compact:
        raise ValueError(f"'{text}' is not a duration; write it like 30m, 6h or 1h30m")
    return int(sum(Decimal(number) * _DURATION_UNITS[unit.lower()] for number, unit in parts))


def format_duration(seconds: float) -> str:
    """``1.9 s``, ``12 m 04 s``, ``3 h 07 m``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} m"


def parse_money(text: str | float) -> Decimal:
    """USD as Decimal. Raises ValueError for anything but a finite number of at least 0."""
    try:
        value = Decimal(str(text).strip().removeprefix("$"))
    except InvalidOperation:
        value = Decimal(-1)
    if isinstance(text, bool) or not value.is_finite() or value < 0:
        raise ValueError(f"'{text}' is not an amount of USD; write it like 1.50")
    return value


def times(number: int) -> str:
    """``2× `` before what there are two of; nothing before one."""
    return "" if number == 1 else f"{number}× "


def format_price(price: Decimal | None) -> str:
    """USD an hour with three decimals; a price that is not known is ``unknown``."""
    return "unknown" if price is None else f"{price:.3f}"


def format_cost(cost: Decimal | None) -> str:
    """USD with two decimals; below a cent, with as many as it takes to show it."""
    if cost is None:
        return "unknown"
    if cost and abs(cost) < Decimal("0.01"):
        return f"{cost:.4f} $"
    return f"{cost:.2f} $"


def utc_now() -> datetime:
    """This moment, aware, UTC."""
    return datetime.now(UTC)


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: ``2026-01-31T09:05:00.000Z``."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """The moment that `format_time` wrote. Raises ValueError."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
