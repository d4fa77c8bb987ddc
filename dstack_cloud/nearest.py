"""The known name that was probably meant: for every "did you mean"."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Up to ``count`` of the ``known`` names that look like ``name``, the likeliest first."""
    from difflib import get_close_matches

    by_folded = {candidate.casefold(): candidate for candidate in known}
    close = get_close_matches(name.casefold(), by_folded, n=count, cutoff=0.6)
    return [by_folded[folded] for folded in close]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` to append to a sentence, or the empty string."""
    close = nearest(name, known, 1)
    return f"; did you mean '{close[0]}'?" if close else ""
