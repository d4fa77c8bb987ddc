"""Secrets' values are masked in the log, wherever the engine cuts, and nothing else is."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dstack_cloud.machine.agent.logs import Converter
from dstack_cloud.machine.agent.mask import Masked, hidden, same

T = b"2026-11-24T13:37:31.611292967Z"
PIECE = 5
# Of few characters, so that values, their beginnings and overlaps are met all the time.
TEXT = st.text("ab", max_size=23).map(str.encode)
VALUES = st.lists(st.text("ab", min_size=1, max_size=12), min_size=1, max_size=3)


def frame(stream: int, text: bytes) -> bytes:
    body = T + b" " + text
    return struct.pack(">BxxxI", stream, len(body)) + body


def frames(stream: int, line: bytes) -> list[bytes]:
    """A line as the engine cuts it: pieces of one size, then the rest with the newline."""
    whole = len(line) // PIECE * PIECE
    pieces = [line[at : at + PIECE] for at in range(0, whole, PIECE)]
    return [frame(stream, text) for text in [*pieces, line[whole:] + b"\n"]]


def expected(line: bytes, values: Sequence[bytes]) -> bytes:
    """Every byte that is in an occurrence of a value, as a star."""
    out = bytearray(line)
    for value in values:
        for at in range(len(line) - len(value) + 1):
            if line[at : at + len(value)] == value:
                out[at : at + len(value)] = b"*" * len(value)
    return bytes(out)


def output(records: Sequence[bytes], stream: bytes = b"stdout") -> bytes:
    """What the container wrote to a stream, by its records."""
    mine = [one for one in records if one[31:37] == stream]
    return b"".join(one[40:] if one[38:39] == b"F" else one[40:-1] for one in mine)


def masked(data: bytes, values: Sequence[bytes], cuts: Sequence[int], skip: int) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    converter = Masked(values, skip)
    got = [one for a, b in itertools.pairwise(edges) for one in converter.feed(data[a:b])]
    return got + converter.finish()


@given(st.lists(TEXT, max_size=6), VALUES, st.lists(st.integers(0, 2000)), st.integers(0, 9))
def test_exactly_the_values_are_masked_whatever_the_cuts(
    lines: list[bytes], values: list[str], cuts: list[int], skip: int
) -> None:
    stream = b"".join(one for line in lines for one in frames(1, line))
    hide = hidden(values)
    got = masked(stream, hide, cuts, 0)
    assert output(got) == b"".join(expected(line, hide) + b"\n" for line in lines)
    plain = Converter().feed(stream)
    assert all(same(one, mine) for one, mine in zip(plain, got, strict=True))
    # Who goes on later writes the rest of the same bytes.
    assert masked(stream, hide, cuts, skip) == got[skip:]


@given(st.data(), TEXT, TEXT, VALUES)
def test_another_stream_in_between_neither_waits_nor_shows_anything(
    data: st.DataObject, one: bytes, other: bytes, values: list[str]
) -> None:
    rest = {1: frames(1, one), 2: frames(2, other)}
    mixed = []
    while any(rest.values()):
        stream = data.draw(st.sampled_from([n for n in rest if rest[n]]))
        mixed.append(rest[stream].pop(0))
    hide = hidden(values)
    got = masked(b"".join(mixed), hide, [], 0)
    plain = Converter().feed(b"".join(mixed))
    assert all(same(mine, logged) for mine, logged in zip(plain, got, strict=True))
    for line, stream in ((one, b"stdout"), (other, b"stderr")):
        must = expected(line, hide)
        assert all(
            logged == 0x2A
            for logged, want in zip(output(got, stream), must, strict=False)
            if want == 0x2A
        )
    # Nothing waits any longer than until the other stream writes.
    converter = Masked(hide)
    out, before = 0, 0
    for number, one_frame in enumerate(mixed):
        out += len(converter.feed(one_frame))
        assert one_frame[0] == before or out >= number
        before = one_frame[0]


def test_a_piece_waits_only_where_it_ends_like_a_value() -> None:
    converter = Masked(hidden(["secret"]))
    [first] = converter.feed(frame(1, b"plain"))
    assert first.endswith(b" P plain\n")
    assert converter.feed(frame(1, b"..sec")) == []
    second, third = converter.feed(frame(1, b"ret!\n"))
    assert second.endswith(b" P ..***\n")
    assert third.endswith(b" F ***!\n")


def test_a_value_longer_than_two_pieces() -> None:
    value = "abcdefghijklmno"
    got = masked(b"".join(frames(1, b"xx" + value.encode() + b"yy")), hidden([value]), [], 0)
    assert output(got) == b"xx" + b"*" * 15 + b"yy\n"


def test_what_only_begins_like_a_value_is_shown_at_the_end() -> None:
    got = masked(frame(1, b"a sec"), hidden(["secret"]), [], 0)
    assert output(got) == b"a sec"


@pytest.mark.parametrize(
    ("value", "looked_for"),
    [
        ("x", [b"x"]),
        ("one\n", [b"one"]),
        ("-----BEGIN\r\nabc\r\nabcd\r\n", [b"-----BEGIN", b"abcd"]),
        ("a\nbb\nccc", []),
        ("é€", ["é€".encode()]),
    ],
)
def test_what_is_looked_for(value: str, looked_for: list[bytes]) -> None:
    assert hidden([value]) == looked_for


def test_a_record_is_found_again_where_it_is_masked_only() -> None:
    record = T + b" stdout F a secret\n"
    assert same(record, T + b" stdout F a ******\n")
    assert not same(record, T + b" stdout F a secreT\n")
    assert not same(record, T + b" stdout F a *******\n")
