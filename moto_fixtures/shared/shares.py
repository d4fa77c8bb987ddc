"""Numbers that look random and are always the same."""

from __future__ import annotations

import hashlib


def share(*parts: str) -> float:
    """A number from 0 to 1 that is always the same for the same words."""
    digest = hashlib.sha256("/".join(parts).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 0xFFFFFFFF
