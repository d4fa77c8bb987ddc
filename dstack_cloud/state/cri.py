"""The log's format, CRI's: pure.

    2026-11-23T10:00:00.123456789Z stdout F a whole line
    2026-11-23T10:00:00.123456789Z stdout P the beginning of one, with more to come

Offsets into a log are always bytes of this form.
https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# What stands before a whole line, or all of a partial record but its text.
_AROUND = re.compile(rb"^[^ \n]+ std(?:out|err) (?:F[^ \n]* ?|P[^ \n]* ?([^\n]*)\n)", re.MULTILINE)
# Whole lines alone, as nearly all are: four times as fast.
_BEFORE = re.compile(rb"\n[^ \n]+ std(?:out|err) F[^ \n]*(?: |(?=\n))")
_RECORD = re.compile(rb"^([^ \n]+) (stdout|stderr) ([FP])[^ \n]* ?([^\n]*)\n", re.MULTILINE)


@dataclass(frozen=True)
class Line:
    """A line of output, without its end. ``whole`` False: the stream ended within it."""

    time: str
    stream: str
    text: bytes
    whole: bool = True


class Output:
    """Turns chunks of the log, cut anywhere, into the bytes that the container wrote."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        """The output of all records that are complete now."""
        data = self._rest + chunk if self._rest else chunk
        end = data.rfind(b"\n") + 1
        self._rest = data[end:]
        whole = data[:end] if self._rest else data
        if b" stdout P" in whole or b" stderr P" in whole:
            return _AROUND.sub(rb"\1", whole)
        return _BEFORE.sub(b"\n", b"\n" + whole)[1:]

    def finish(self) -> bytes:
        """The log has ended: a record that was cut off is dropped, there is nothing left."""
        self._rest = b""
        return b""


class Lines:
    """Turns chunks of the log, cut anywhere, into lines with time and stream.

    Partial records are joined, each stream's for itself; a line has its first record's time.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._open: dict[bytes, tuple[bytes, list[bytes]]] = {}

    def feed(self, chunk: bytes) -> list[Line]:
        """The lines that are complete now."""
        data = self._rest + chunk
        end = data.rfind(b"\n") + 1
        self._rest = data[end:]
        return list(self._complete(data[:end]))

    def finish(self) -> list[Line]:
        """What is left when the log has ended: lines that were never completed."""
        left = [_line(*self._open[stream], stream, whole=False) for stream in sorted(self._open)]
        self._open.clear()
        return left

    def _complete(self, data: bytes) -> Iterator[Line]:
        for time, stream, kind, text in _RECORD.findall(data):
            first, parts = self._open.pop(stream, (time, []))
            parts.append(text)
            if kind == b"P":
                self._open[stream] = (first, parts)
            else:
                yield _line(first, parts, stream, whole=True)


def _line(time: bytes, parts: list[bytes], stream: bytes, *, whole: bool) -> Line:
    return Line(time.decode(), stream.decode(), b"".join(parts), whole)
