"""The log file: written from the engine's stream, and found again after a crash.

One record a line, as CRI has it: ``<RFC 3339 with nanoseconds> stdout|stderr F|P <text>``; ``P`` is
a part of a line that goes on in the next record of that stream. What was written tells where to
go on, so there is no state to lose: the same output gives the same bytes at the same offsets.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from struct import Struct
from typing import NamedTuple

from .times import earlier

STAMP = 30  # bytes of a timestamp: the engine writes nanoseconds with all nine digits
# The engine stamps stdout and stderr in two threads and may write them in another order than
# stamped; clocks are set back a little. So a resumption asks from this much before the last record.
OVERLAP = 60
_CHUNK = 1 << 17
_FULL = (b"", b" stdout F ", b" stderr F ")
_PART = (b"", b" stdout P ", b" stderr P ")
_SIZE = Struct(">I").unpack_from


class Position(NamedTuple):
    """Where to go on: ask the engine for everything since ``since`` (empty: all) and leave out
    the first ``skip`` records, which the file has already."""

    since: bytes
    skip: int
    size: int


def recover(path: str) -> Position:
    """Cut off a torn record at the file's end, and find the position."""
    try:
        size = os.path.getsize(path)
    except FileNotFoundError:
        return Position(b"", 0, 0)
    whole, last = _last_record(path, size)
    if whole != size:
        os.truncate(path, whole)
    if not last:
        return Position(b"", 0, 0)
    since = earlier(last, OVERLAP)
    skip = 0
    with open(path, "rb", 1 << 20) as file:
        for line in file:
            # Fixed width, so that comparing bytes compares moments.
            if line[:STAMP] >= since:
                skip += 1
    return Position(since, skip, whole)


def _last_record(path: str, size: int) -> tuple[int, bytes]:
    """The end of the last whole record, and its timestamp."""
    # A record is at most 16 KB of text and its head; the engine splits longer lines.
    with open(path, "rb") as file:
        start = max(0, size - (1 << 17))
        file.seek(start)
        tail = file.read()
    end = tail.rfind(b"\n") + 1
    begin = tail.rfind(b"\n", 0, max(0, end - 1)) + 1
    return start + end, tail[begin : begin + STAMP] if end else b""


class Converter:
    """Turns the engine's frames into records, without the first ``skip``.

    A frame is a byte for the stream, three of zero, four for the size, and the text after its
    timestamp and a space. The engine cuts long lines into pieces of one size, and its `local`
    driver loses the newline after the last piece, which is known by being shorter. (Only a long
    line that ends without a newline because its stream ends looks the same: it gets one.)
    """

    def __init__(self, skip: int = 0) -> None:
        self._skip = skip
        self._pending = b""
        # Per stream the size of a line's pieces so far, 0 when there is no such line.
        self._piece = [0, 0, 0]

    def feed(self, part: bytes) -> list[bytes]:
        """The records of all frames that are complete now."""
        data = self._pending + part if self._pending else part
        position, length, skip = 0, len(data), self._skip
        piece = self._piece
        out: list[bytes] = []
        append = out.append
        while position + 8 <= length:
            begin = position + 8
            end = begin + _SIZE(data, position + 4)[0]
            if end > length:
                break
            stream = data[position]
            position = end
            text = begin + STAMP
            if data[end - 1] == 10:
                piece[stream] = 0
                record = data[begin:text] + _FULL[stream] + data[text + 1 : end]
            elif end - text < piece[stream]:
                piece[stream] = 0
                record = data[begin:text] + _FULL[stream] + data[text + 1 : end] + b"\n"
            else:
                piece[stream] = end - text
                record = data[begin:text] + _PART[stream] + data[text + 1 : end] + b"\n"
            if skip:
                skip -= 1
            else:
                append(record)
        self._pending = data[position:] if position != length else b""
        self._skip = skip
        return out


def pump(
    stream: socket.socket,
    descriptor: int,
    feed: Callable[[bytes], Sequence[bytes]],
    on_full: Callable[[], None],
) -> bool:
    """Copy what ``feed`` makes of the engine's stream into the log until it ends; False when it was
    cut off.

    ``on_full`` is called when the disk is full and must make room, or raise.
    """
    while True:
        try:
            part = stream.recv(_CHUNK)
        except ConnectionError:
            return False
        if not part:
            return True
        out = feed(part)
        if out:
            write_all(descriptor, b"".join(out), on_full)


def write_all(descriptor: int, data: bytes, on_full: Callable[[], None]) -> None:
    """Write everything, in as few calls as it takes."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except OSError as error:
            import errno

            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            on_full()
