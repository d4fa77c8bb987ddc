"""Work begun before its answer is needed."""

from __future__ import annotations

import threading

import pytest

from dstack_cloud.ahead import ahead


def test_it_goes_on_meanwhile_and_answers_every_time():
    begun, go_on = threading.Event(), threading.Event()

    def work() -> int:
        begun.set()
        assert go_on.wait(10)
        return 42

    answer = ahead(work)
    assert begun.wait(10)
    go_on.set()
    assert (answer(), answer()) == (42, 42)


def test_what_goes_wrong_is_raised_where_the_answer_is_needed():
    def work() -> int:
        raise ValueError("no")

    answer = ahead(work)
    with pytest.raises(ValueError, match="no"):
        answer()
