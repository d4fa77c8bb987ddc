"""The agent's frames survive whatever pieces the network makes of them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dstack_cloud.errors import InternalError
from dstack_cloud.lifecycle.frames import FrameParser


def encode(frames: list[tuple[str, bytes]]) -> bytes:
    return b"".join(b"%s %d\n%s" % (kind.encode(), len(data), data) for kind, data in frames)


FRAMES = st.lists(st.tuples(st.sampled_from(["log", "status", "end"]), st.binary(max_size=200)))


@given(FRAMES, st.lists(st.integers(0, 2000), max_size=10))
def test_any_cut_gives_the_same_frames(frames: list[tuple[str, bytes]], cuts: list[int]) -> None:
    data = encode(frames)
    edges = sorted({0, len(data), *[cut for cut in cuts if cut < len(data)]})
    parser = FrameParser()
    got = [
        frame for begin, end in itertools.pairwise(edges) for frame in parser.feed(data[begin:end])
    ]
    assert got == frames


@pytest.mark.parametrize("data", [b"sudo: a password is required\n", b"x" * 100])
def test_what_is_no_stream_of_frames_is_said(data: bytes) -> None:
    with pytest.raises(InternalError, match="not a frame"):
        list(FrameParser().feed(data))
