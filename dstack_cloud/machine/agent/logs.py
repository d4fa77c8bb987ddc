"""The log file: written from the engine's stream, and found again after a crash.

One record a line, as CRI has it: ``<RFC 3339 with nanoseconds> stdout|stderr F|P <text>``; ``P`` is
a part of a line that goes on in the next record of that stream. What was written tells where to
go on, so there is no state to lose: the same output gives the same bytes at the same offsets.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
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


def convert(data: bytes, skip: int, out: list[bytes]) -> tuple[int, int]:
    """Turn whole frames of ``data`` into records, appended to ``out``.

    Returns the number of bytes used up and what is left of ``skip``. A frame is a byte for the
    stream, three of zero, four for the size, and the text after its timestamp and a space.
    """
    position, length = 0, len(data)
    append = out.append
    while position + 8 <= length:
        begin = position + 8
        end = begin + _SIZE(data, position + 4)[0]
        if end > length:
            break
        if skip:
            skip -= 1
        else:
            text = begin + STAMP
            if data[end - 1] == 10:
                append(data[begin:text] + _FULL[data[position]] + data[text + 1 : end])
            else:
                append(data[begin:text] + _PART[data[position]] + data[text + 1 : end] + b"\n")
        position = end
    return position, skip


def pump(stream: socket.socket, descriptor: int, skip: int, on_full: Callable[[], None]) -> int:
    """Copy the engine's stream into the log until it ends; returns the number of new records.

    ``on_full`` is called when the disk is full and must make room, or raise.
    """
    pending = b""
    written = 0
    while True:
        try:
            part = stream.recv(_CHUNK)
        except ConnectionError:
            return written
        if not part:
            return written
        data = pending + part if pending else part
        out: list[bytes] = []
        used, skip = convert(data, skip, out)
        pending = data[used:] if used != len(data) else b""
        if out:
            written += len(out)
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
