"""Sizes, durations, money and moments, both ways."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from dstack_cloud import units


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16GB", 16 << 30),
        ("16GiB", 16 << 30),
        ("512mb", 512 << 20),
        ("1.5 GB", 3 << 29),
        ("1024", 1024),
        (77, 77),
        ("8G", 8 << 30),
    ],
)
def test_sizes(text: str | int, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "16 gigs", "1e3", True])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        units.parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1h30m", 5400), ("2d", 172800), ("0.5h", 1800)]
)
def test_durations(text: str, seconds: int) -> None:
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "10x", "-5m", "5m!", True])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        units.parse_duration(text)


@pytest.mark.parametrize("text", ["", "free", "-1", "NaN", "Infinity", True])
def test_what_is_no_money(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        units.parse_money(text)


def test_words() -> None:
    assert units.format_size(999) == "999 B"
    assert units.format_size(78 << 20) == "78 MB"
    assert units.format_size(int(1.2 * (1 << 30))) == "1.2 GB"
    assert units.format_duration(1.94) == "1.9 s"
    assert units.format_duration(724) == "12 m 04 s"
    assert units.format_duration(3 * 3600 + 7 * 60) == "3 h 07 m"
    assert units.format_price(None) == "unknown"
    assert units.format_cost(Decimal("0.0312")) == "0.03 $"
    assert units.format_cost(Decimal("0.0003")) == "0.0003 $"
    assert units.format_cost(Decimal(0)) == "0.00 $"


def test_moments() -> None:
    moment = datetime(2026, 1, 31, 9, 5, 0, 123000, UTC)
    assert units.format_time(moment) == "2026-01-31T09:05:00.123Z"
    assert units.parse_time(units.format_time(moment)) == moment
