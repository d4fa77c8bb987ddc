from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from dstack_cloud.state.cri import Line, Lines, Output

T = b"2026-11-23T10:00:00.123456789Z"

texts = st.binary(max_size=20).map(lambda raw: raw.replace(b"\n", b"\r"))
records = st.lists(st.tuples(st.sampled_from([b"stdout", b"stderr"]), st.booleans(), texts))


def encode(items: list[tuple[bytes, bool, bytes]]) -> bytes:
    return b"".join(
        b"%s %s %s %s\n" % (T, stream, b"F" if full else b"P", text) for stream, full, text in items
    )


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(records, st.lists(st.integers(0, 2000)))
def test_the_output_is_what_the_container_wrote(
    items: list[tuple[bytes, bool, bytes]], places: list[int]
) -> None:
    written = b"".join(text + (b"\n" if full else b"") for _, full, text in items)
    output = Output()
    assert b"".join(output.feed(chunk) for chunk in cut(encode(items), places)) == written


@given(records, st.lists(st.integers(0, 2000)))
def test_lines_are_joined_stream_by_stream(
    items: list[tuple[bytes, bool, bytes]], places: list[int]
) -> None:
    lines = Lines()
    found = [line for chunk in cut(encode(items), places) for line in lines.feed(chunk)]
    found += lines.finish()
    for stream in (b"stdout", b"stderr"):
        written = b"".join(
            text + (b"\n" if full else b"") for name, full, text in items if name == stream
        )
        told = b"".join(
            line.text + (b"\n" if line.whole else b"")
            for line in found
            if line.stream == stream.decode()
        )
        assert told == written


def test_a_line_has_the_time_of_its_beginning() -> None:
    lines = Lines()
    log = b"t1 stdout P one \nt2 stderr F other\nt3 stdout P line\nt4 stdout F !\nt5 stdout P re"
    assert lines.feed(log) == [Line("t2", "stderr", b"other"), Line("t1", "stdout", b"one line!")]
    assert lines.feed(b"st\n") == []
    assert lines.finish() == [Line("t5", "stdout", b"rest", whole=False)]


def test_an_incomplete_record_waits() -> None:
    output = Output()
    assert output.feed(b"t1 stdout F on") == b""
    assert output.feed(b"e\nt2 std") == b"one\n"
    assert output.feed(b"err P two\n") == b"two"


def test_text_that_looks_like_a_record_is_text() -> None:
    inner = b"t0 stdout F inner"
    assert Output().feed(b"t1 stdout F " + inner + b"\n") == inner + b"\n"
    assert Lines().feed(b"t1 stdout F " + inner + b"\n")[0].text == inner
    assert Output().feed(b"t1 stdout P t0 stdout P x\nt2 stdout F \n") == b"t0 stdout P x\n"
