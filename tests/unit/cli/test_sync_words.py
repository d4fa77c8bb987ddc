"""What ps and logs say of artifacts that are on their way."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dstack_cloud.cli.sync_words import sync_words

NOW = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
STORED = "2026-01-01T12:00:18.000Z"


@pytest.mark.parametrize(
    ("sync", "words"),
    [
        ({}, ""),
        ({"behind": 0, "last_ok": None, "error": None}, ""),
        ({"behind": 3 << 20, "last_ok": STORED, "error": None}, "3 MB behind, stored 12.0 s ago"),
        ({"behind": 0, "last_ok": STORED}, "stored 12.0 s ago"),
        ({"behind": 512, "last_ok": None}, "512 B behind"),
        ({"behind": 9, "last_ok": STORED, "error": "403 denied"}, "failing: 403 denied"),
        # The machine's clock is ahead of ours.
        ({"last_ok": "2026-01-01T12:01:00.000Z"}, "stored 0.0 s ago"),
    ],
)
def test_words(sync: dict[str, Any], words: str) -> None:
    assert sync_words(sync, NOW) == words
