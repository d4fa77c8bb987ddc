"""Secrets' values in the container's output become ``*``, byte for byte, so that offsets stay.

A value of one line is masked whole; of one with several lines each line that has four bytes or
more: the log is made of lines, and what is shorter would hide half of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .logs import STAMP, Converter

_SHORTEST_LINE = 4
_STREAM = slice(STAMP + 1, STAMP + 7)
_KIND = STAMP + 8
_TEXT = STAMP + 10
_PART = ord("P")


def hidden(values: Iterable[str]) -> list[bytes]:
    """What to look for, of secrets' values."""
    found = set()
    for value in values:
        lines = value.encode("utf-8", "surrogateescape").replace(b"\r", b"\n").split(b"\n")
        lines = [line for line in lines if line]
        found.update(lines if len(lines) == 1 else [x for x in lines if len(x) >= _SHORTEST_LINE])
    return sorted(found, key=len, reverse=True)


class _Held(NamedTuple):
    """A piece of a long line that ends like the beginning of a value; ``start`` is where its text
    begins, counted from the line's first byte that is undecided."""

    record: bytearray
    start: int


class Masked:
    """A `Converter` whose records have no secret's value in them.

    A value may lie across the pieces of a long line. So a piece that ends with the beginning of a
    value waits for the next record: the line's next piece decides; if it is another stream's, that
    end is masked, value or not, so that no stream waits for another.
    """

    def __init__(self, hide: Sequence[bytes], skip: int = 0) -> None:
        self._hide = hide
        self._skip = skip
        self._converter = Converter()
        # Of each stream's open line what may be the beginning of a value.
        self._rest = {b"stdout": b"", b"stderr": b""}
        self._held: list[_Held] = []

    def feed(self, part: bytes) -> list[bytes]:
        """The records that are complete and decided now, without the first ``skip``."""
        records = self._converter.feed(part)
        if not self._clean(records):
            out: list[bytes] = []
            for record in records:
                self._one(record, out)
            records = out
        return self._new(records)

    def finish(self) -> list[bytes]:
        """All output was there: what waits has no more to come."""
        out: list[bytes] = []
        self._release(out)
        return self._new(out)

    def _clean(self, records: Sequence[bytes]) -> bool:
        """Whether nothing can be masked in these: nearly always, so this must be quick."""
        if any(self._rest.values()) or self._held:
            return False
        data = b"".join(records)
        return not (
            b" stdout P " in data
            or b" stderr P " in data
            or any(value in data for value in self._hide)
        )

    def _new(self, records: list[bytes]) -> list[bytes]:
        if self._skip:
            skipped = min(self._skip, len(records))
            self._skip -= skipped
            records = records[skipped:]
        return records

    def _one(self, record: bytes, out: list[bytes]) -> None:
        stream = record[_STREAM]
        if self._held and self._held[0].record[_STREAM] != stream:
            self._give_up(out)
        rest = self._rest[stream]
        line = rest + record[_TEXT:-1]
        held = [*self._held, _Held(bytearray(record), len(rest))]
        for begin, end in self._found(line):
            _cover(held, begin, end)
        undecided = self._undecided(line) if record[_KIND] == _PART else 0
        self._rest[stream] = line[len(line) - undecided :]
        decided = len(line) - undecided
        self._held = []
        for piece in held:
            if piece.start + len(piece.record) - _TEXT - 1 <= decided:
                out.append(bytes(piece.record))
            else:
                self._held.append(piece._replace(start=piece.start - decided))

    def _give_up(self, out: list[bytes]) -> None:
        rest = self._rest[bytes(self._held[0].record[_STREAM])]
        _cover(self._held, 0, len(rest))
        self._release(out)

    def _release(self, out: list[bytes]) -> None:
        out += [bytes(piece.record) for piece in self._held]
        self._held = []

    def _found(self, line: bytes) -> Iterable[tuple[int, int]]:
        # Also those that overlap: nothing of either may be left.
        for value in self._hide:
            at = line.find(value)
            while at >= 0:
                yield at, at + len(value)
                at = line.find(value, at + 1)

    def _undecided(self, line: bytes) -> int:
        """The length of the longest end of ``line`` that is the beginning of a value."""
        longest = 0
        for value in self._hide:
            for size in range(min(len(value) - 1, len(line)), longest, -1):
                if line.endswith(value[:size]):
                    longest = size
                    break
        return longest


def _cover(held: Iterable[_Held], begin: int, end: int) -> None:
    """Mask from ``begin`` to ``end`` of the line, in whichever pieces that is."""
    for record, start in held:
        first, last = max(begin - start, 0), min(end - start, len(record) - _TEXT - 1)
        if first < last:
            record[_TEXT + first : _TEXT + last] = b"*" * (last - first)


def same(record: bytes, logged: bytes) -> bool:
    """Whether a record of the engine is this one of the log, where some of it may be masked."""
    return len(record) == len(logged) and all(
        mine in (theirs, 0x2A) for theirs, mine in zip(record, logged)
    )
