from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dstack_cloud.state import keys
from dstack_cloud.state.attempts import claim_attempt
from dstack_cloud.state.logs import Piece, plan, read_attempt, read_log
from dstack_cloud.storage.local import LocalStore

RUN = "train-1"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


def put(store: LocalStore, log: bytes, *segments: tuple[int, int], attempt: int = 1) -> None:
    for begin, end in segments:
        store.put(keys.log_segment(RUN, attempt, begin), log[begin:end])


def content(index: int) -> bytes:
    return bytes((index + i) % 251 for i in range(5000))


def read(store: LocalStore, attempt: int = 1, offset: int = 0) -> bytes:
    return b"".join(chunk.data for chunk in read_attempt(store, RUN, attempt, offset))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 30)), max_size=12), st.integers(0, 60))
def test_each_byte_is_taken_once(segments: list[tuple[int, int]], offset: int) -> None:
    pieces = plan(segments, offset)
    taken = [byte for piece in pieces for byte in range(piece.begin, piece.end)]
    there = {byte for start, size in segments for byte in range(start, start + size)}
    assert taken == sorted(byte for byte in there if byte >= offset)
    sizes: dict[int, int] = {}
    for start, size in segments:
        sizes[start] = max(size, sizes.get(start, 0))
    assert all(p.segment <= p.begin and p.end <= p.segment + sizes[p.segment] for p in pieces)


def test_a_plan_skips_what_is_covered() -> None:
    assert plan([(0, 100), (50, 50), (80, 120)], 10) == [Piece(0, 10, 100), Piece(80, 100, 200)]


@pytest.mark.parametrize("offset", [0, 1, 99, 100, 101, 2500, 4999, 5000, 9000])
def test_any_offset_reads_the_rest(store: LocalStore, offset: int) -> None:
    log = content(1)
    edges = [*range(0, 5000, 100), 5000]
    put(store, log, *itertools.pairwise(edges))
    put(store, log, (150, 420), (4900, 5000))
    assert read(store, offset=offset) == log[offset:]


def test_what_is_missing_is_told_by_the_offset(store: LocalStore) -> None:
    log = content(1)
    put(store, log, (0, 100), (200, 300))
    chunks = list(read_attempt(store, RUN, 1))
    assert [(chunk.offset, chunk.end) for chunk in chunks] == [(0, 100), (200, 300)]


def test_a_reader_may_leave_early(store: LocalStore) -> None:
    edges = list(range(0, 5000, 100))
    put(store, content(1), *itertools.pairwise(edges))
    assert next(iter(read_attempt(store, RUN, 1))).data == content(1)[:100]


def test_attempts_follow_each_other(store: LocalStore) -> None:
    for attempt in (1, 2, 3):
        assert claim_attempt(store, RUN, attempt, {})
    put(store, content(1), (0, 60), attempt=1)
    put(store, content(3), (0, 40), (40, 90), attempt=3)
    chunks = list(read_log(store, RUN))
    assert [(chunk.attempt, chunk.offset) for chunk in chunks] == [(1, 0), (3, 0), (3, 40)]
    assert b"".join(chunk.data for chunk in chunks) == content(1)[:60] + content(3)[:90]
    (rest,) = read_log(store, RUN, attempt=3, offset=70)
    assert rest.data == content(3)[70:90]


def test_following_by_polling_loses_and_repeats_nothing(store: LocalStore) -> None:
    claim_attempt(store, RUN, 1, {})
    log = content(1)
    got, attempt, offset = b"", 1, 0
    # The third and the fifth are put again by a restarted agent, cut elsewhere.
    for begin, end in [(0, 700), (700, 1000), (700, 1500), (1500, 2000), (1400, 2600)]:
        put(store, log, (begin, end))
        for chunk in read_log(store, RUN, attempt, offset):
            got, attempt, offset = got + chunk.data, chunk.attempt, chunk.end
        assert got == log[:end]
