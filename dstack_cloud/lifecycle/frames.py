"""The frames in which the agent's ``follow`` answers, as they come off the wire.

A frame is one line ``<kind> <n>`` and then n bytes. Kinds: ``log`` (bytes of the log file),
``status`` and ``end`` (JSON), ``beat`` (nothing: a sign of life).
"""

from __future__ import annotations

from collections.abc import Iterator

from dstack_cloud.errors import InternalError

_LONGEST_HEADER = 64


class FrameParser:
    """Bytes in, whole frames out; what is incomplete waits for more."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """The frames that ``data`` completes. Raises InternalError when it is no such stream."""
        self._buffer += data
        start = 0
        while True:
            newline = self._buffer.find(b"\n", start, start + _LONGEST_HEADER)
            if newline < 0:
                if len(self._buffer) - start >= _LONGEST_HEADER:
                    raise InternalError(f"not a frame: {bytes(self._buffer[start:][:40])!r}")
                break
            kind, _, size = self._buffer[start:newline].partition(b" ")
            if not size.isdigit():
                raise InternalError(f"not a frame: {bytes(self._buffer[start:newline])!r}")
            after = newline + 1 + int(size)
            if after > len(self._buffer):
                break
            yield kind.decode("ascii", "replace"), bytes(self._buffer[newline + 1 : after])
            start = after
        del self._buffer[:start]
