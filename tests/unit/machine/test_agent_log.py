"""The engine's stream becomes records, whatever pieces it comes in."""

from __future__ import annotations

import itertools
import struct

from hypothesis import given
from hypothesis import strategies as st

from dstack_cloud.machine.agent.logs import Converter

T = b"2026-11-24T13:37:31.611292967Z"
PIECE = 16384


def frame(stream: int, text: bytes) -> bytes:
    body = T + b" " + text
    return struct.pack(">BxxxI", stream, len(body)) + body


def record(stream: bytes, tag: bytes, text: bytes) -> bytes:
    return b"%s %s %s %s\n" % (T, stream, tag, text)


FRAMES = frame(1, b"one\n") + frame(2, b"two\n") + frame(1, b"\n") + frame(1, b"no end")
RECORDS = [
    record(b"stdout", b"F", b"one"),
    record(b"stderr", b"F", b"two"),
    record(b"stdout", b"F", b""),
    record(b"stdout", b"P", b"no end"),
]


@given(st.lists(st.integers(0, len(FRAMES))), st.integers(0, 6))
def test_any_cut_gives_the_same_records(cuts: list[int], skip: int) -> None:
    edges = sorted({0, len(FRAMES), *cuts})
    converter = Converter(skip)
    got = [one for a, b in itertools.pairwise(edges) for one in converter.feed(FRAMES[a:b])]
    assert got == RECORDS[skip:]


def test_the_last_piece_of_a_long_line_ends_it_with_or_without_a_newline() -> None:
    pieces = [b"x" * PIECE, b"x" * PIECE, b"end"]
    whole = [record(b"stdout", b"P", text) for text in pieces[:2]]
    for ending in (b"", b"\n"):
        stream = [frame(1, text) for text in pieces[:2]] + [frame(1, pieces[2] + ending)]
        # Another stream in between has lines of its own.
        stream.insert(1, frame(2, b"y" * PIECE))
        got = Converter().feed(b"".join(stream) + frame(1, b"rest"))
        other = got.pop(1)
        assert other == record(b"stderr", b"P", b"y" * PIECE)
        assert got == [*whole, record(b"stdout", b"F", b"end"), record(b"stdout", b"P", b"rest")]


def test_a_line_that_fills_its_pieces_ends_with_an_empty_one() -> None:
    got = Converter().feed(frame(1, b"x" * PIECE) + frame(1, b"") + frame(1, b"next\n"))
    assert [one[len(T) :][:10] for one in got] == [b" stdout P ", b" stdout F ", b" stdout F "]


def test_a_resumption_within_a_long_line_knows_its_end() -> None:
    stream = frame(1, b"x" * PIECE) + frame(1, b"end")
    assert Converter(1).feed(stream) == [record(b"stdout", b"F", b"end")]
