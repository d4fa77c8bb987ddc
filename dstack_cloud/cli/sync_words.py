"""How far a run's artifacts in the store are behind those on its machine, in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dstack_cloud.units import format_duration, format_size, parse_time


def sync_words(sync: Mapping[str, Any], now: datetime) -> str:
    """``3 MB behind, stored 12 s ago``; nothing where nothing was ever to be stored."""
    if sync.get("error"):
        return f"failing: {sync['error']}"
    behind = int(sync.get("behind") or 0)
    words = [f"{format_size(behind)} behind"] if behind else []
    if sync.get("last_ok"):
        ago = max(0.0, (now - parse_time(str(sync["last_ok"]))).total_seconds())
        words.append(f"stored {format_duration(ago)} ago")
    return ", ".join(words)
