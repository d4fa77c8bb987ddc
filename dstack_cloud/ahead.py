"""Begin what will be needed soon, and take the answer when it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def ahead(work: Callable[[], T]) -> Callable[[], T]:
    """Start ``work`` in a thread; what comes back waits for it, then answers or raises as it did.

    A program that ends before does not wait for it.
    """
    answer: list[T] = []
    problem: list[BaseException] = []

    def carry_out() -> None:
        try:
            answer.append(work())
        except BaseException as error:
            problem.append(error)

    thread = threading.Thread(target=carry_out, daemon=True)
    thread.start()

    def result() -> T:
        thread.join()
        if problem:
            raise problem[0]
        return answer[0]

    return result
