"""The logs of several nodes as one: whole lines, each with its node's name before it."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping

from dstack_cloud.state import logs
from dstack_cloud.state.cri import Line, Lines
from dstack_cloud.storage.base import Store


def named(node: int, line: Line, timestamps: bool = False) -> bytes:
    """``node-1 | the line``."""
    time = line.time.encode() + b" " if timestamps else b""
    return b"%snode-%d | %s\n" % (time, node, line.text)


class Named:
    """From log bytes, by node, to text. Lines come as they are complete: never half of one."""

    def __init__(self, timestamps: bool = False) -> None:
        self._timestamps = timestamps
        self._lines: dict[int, Lines] = {}

    def feed(self, node: int, data: bytes) -> bytes:
        """The next bytes of a node's log."""
        lines = self._lines.setdefault(node, Lines()).feed(data)
        return b"".join(named(node, line, self._timestamps) for line in lines)

    def finish(self) -> bytes:
        """No more will come: what was begun and never completed."""
        return b"".join(
            named(node, line, self._timestamps)
            for node, lines in sorted(self._lines.items())
            for line in lines.finish()
        )


def by_time(chunks: Mapping[int, Iterable[bytes]], timestamps: bool = False) -> Iterator[bytes]:
    """Whole logs of several nodes, merged by the moments of their lines."""

    def lines(node: int) -> Iterator[tuple[str, int, Line]]:
        found = Lines()
        for data in chunks[node]:
            yield from ((line.time, node, line) for line in found.feed(data))
        yield from ((line.time, node, line) for line in found.finish())

    merged = heapq.merge(*map(lines, chunks), key=lambda item: item[:2])
    return (named(node, line, timestamps) for _, node, line in merged)


def stored(store: Store, run: str, attempt: int, node: int) -> Iterator[bytes]:
    """What the store has of a node's log."""
    return (chunk.data for chunk in logs.read_attempt(store, run, attempt, 0, node))


def merged_attempt(
    store: Store, run: str, attempt: int, nodes: int, timestamps: bool = False
) -> Iterator[bytes]:
    """What the store has of the logs of an attempt's nodes, line by line."""
    return by_time({node: stored(store, run, attempt, node) for node in range(nodes)}, timestamps)
