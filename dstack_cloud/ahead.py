"""Begin what will be needed soon, and take the answer when it is."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_PARTING_S = 3.0


def ahead(work: Callable[[], T]) -> Callable[[], T]:
    """Start ``work`` in a thread; what comes back waits for it, then answers or raises as it did.

    A program that ends before waits some seconds for it at most: a library that calls back into
    an interpreter which is being taken down would end the program with its own signal.
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
    atexit.register(thread.join, _PARTING_S)

    def result() -> T:
        thread.join()
        if problem:
            raise problem[0]
        return answer[0]

    return result
