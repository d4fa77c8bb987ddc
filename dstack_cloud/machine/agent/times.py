"""Moments: RFC 3339 in UTC as text, and seconds since boot."""

from __future__ import annotations

import calendar
import time


def now() -> str:
    """``2026-01-31T09:05:00.123Z``."""
    return text(time.time())


def text(seconds: float) -> str:
    """The same for any moment, in seconds since 1970."""
    whole = int(seconds)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return f"{stamp}.{int((seconds - whole) * 1000):03d}Z"


def unix(text: str) -> float:
    """Seconds since 1970 of an RFC 3339 moment in UTC."""
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) + float(
        "0" + text[19:].rstrip("Z")
    )


def earlier(stamp: bytes, seconds: int) -> bytes:
    """A log record's timestamp, that many seconds earlier, nanoseconds as they are."""
    whole = calendar.timegm(time.strptime(stamp[:19].decode(), "%Y-%m-%dT%H:%M:%S")) - seconds
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)).encode() + stamp[19:]


def engine_since(stamp: bytes) -> str:
    """The engine's ``since`` for a record's timestamp: seconds and nanoseconds since 1970."""
    whole = calendar.timegm(time.strptime(stamp[:19].decode(), "%Y-%m-%dT%H:%M:%S"))
    return f"{whole}.{stamp[20:29].decode()}"


def uptime() -> float:
    """Seconds since the machine's boot: what the dead-man timer counts in."""
    with open("/proc/uptime") as file:
        return float(file.read().split()[0])
