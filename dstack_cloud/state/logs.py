"""The log of a run as the store holds it: segments, read as one stream.

A segment's name is the offset of its first byte. An agent that was restarted may put segments
again, cut elsewhere, so they may overlap; where they do, they hold the same bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from dstack_cloud.state import keys
from dstack_cloud.state.attempts import latest_attempt
from dstack_cloud.storage.base import Store

# An agent's segments are about 1 MB at most: none that begins earlier can hold the offset.
_LOOK_BACK = 16 << 20
_AHEAD = 8


@dataclass(frozen=True)
class Chunk:
    """Bytes of one attempt's log (CRI records); ``offset`` is that of the first.

    Chunks come in order. One that begins after the end of the one before says that what lies
    between is not in the store.
    """

    attempt: int
    offset: int
    data: bytes

    @property
    def end(self) -> int:
        return self.offset + len(self.data)


@dataclass(frozen=True)
class Piece:
    """The bytes ``begin`` to ``end`` of a log, out of the segment that starts at ``segment``."""

    segment: int
    begin: int
    end: int


def plan(segments: Iterable[tuple[int, int]], offset: int) -> list[Piece]:
    """Which bytes to take from which of the segments (start, size), each byte once: pure."""
    pieces: list[Piece] = []
    position = offset
    # Of those that start alike, the longest first.
    for start, size in sorted(segments, key=lambda segment: (segment[0], -segment[1])):
        end = start + size
        if end > position:
            begin = max(start, position)
            pieces.append(Piece(start, begin, end))
            position = end
    return pieces


def read_attempt(
    store: Store, run: str, attempt: int, offset: int = 0, node: int = 0
) -> Iterator[Chunk]:
    """What the store has of one attempt's log (on one of its nodes) from byte ``offset`` on."""
    folder = keys.log(run, attempt, node)
    first = max(0, offset - _LOOK_BACK)
    after = keys.log_segment(run, attempt, first - 1, node) if first else ""
    listed = (
        (item.key[len(folder) :], item.size)
        for item in store.list(folder, after)
        if item.key[len(folder) :].isdigit()
    )
    pieces = plan([(int(name), size) for name, size in listed], offset)

    def fetch(piece: Piece) -> Chunk:
        found = store.get(keys.log_segment(run, attempt, piece.segment, node))
        # A segment that was put again since may have grown, not shrunk.
        data = found.data if found is not None else b""
        begin, end = piece.begin - piece.segment, piece.end - piece.segment
        return Chunk(attempt, piece.begin, data[begin:end])

    if len(pieces) < 2:
        yield from (fetch(piece) for piece in pieces)
        return
    waiting: deque[Future[Chunk]] = deque()
    with ThreadPoolExecutor(_AHEAD) as pool:
        try:
            for piece in pieces:
                waiting.append(pool.submit(fetch, piece))
                if len(waiting) == _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def read_log(store: Store, run: str, attempt: int = 1, offset: int = 0) -> Iterator[Chunk]:
    """What the store has of the run's log, from byte ``offset`` of ``attempt`` on, through all
    later attempts. To follow it, call again with the last chunk's ``attempt`` and ``end``."""
    latest = latest_attempt(store, run)
    while attempt <= latest:
        yield from read_attempt(store, run, attempt, offset)
        attempt, offset = attempt + 1, 0
