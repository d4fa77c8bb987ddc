"""Requests for a machine under way: the first machine wins, a late one is ended at once."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dstack_cloud.clouds.base import Cloud, LaunchAnswer, Machine
from dstack_cloud.errors import DstackError
from dstack_cloud.resources import Offer

AskFor = Callable[[Sequence[Offer], int], LaunchAnswer]
"""Asks the cloud once for one machine of some offers; the number tells the requests apart."""


@dataclass(frozen=True)
class Asked:
    """A request for one region and market, made ``at`` seconds after the search began."""

    number: int
    offers: Sequence[Offer]
    at: float

    @property
    def region(self) -> str:
        return self.offers[0].region

    @property
    def spot(self) -> bool:
        return self.offers[0].spot


class Asking:
    """Requests in threads of their own. Once it is left, whatever machine a request still brings is
    ended by that request's thread; those threads are put into ``late``, to be waited for before the
    program ends. Where it is killed the machine's own timer ends it, for no job reaches it.
    ``ended`` is told of each that was ended so."""

    def __init__(
        self,
        cloud: Cloud,
        ask: AskFor,
        late: list[threading.Thread],
        ended: Callable[[Machine], None],
    ) -> None:
        self._cloud = cloud
        self._ended = ended
        self._ask = ask
        self._late_threads = late
        self._answers: queue.SimpleQueue[tuple[Asked, LaunchAnswer | BaseException]] = (
            queue.SimpleQueue()
        )
        self._lock = threading.Lock()
        self._over = False
        self._count = 0
        self._threads: dict[int, threading.Thread] = {}
        self.open: list[Asked] = []

    def begin(self, offers: Sequence[Offer], at: float) -> None:
        """Ask, without waiting for the answer."""
        asked = Asked(self._count, offers, at)
        self._count += 1
        self.open.append(asked)
        thread = threading.Thread(target=self._work, args=(asked,))
        self._threads[asked.number] = thread
        thread.start()

    def wait(self, seconds: float | None) -> tuple[Asked, LaunchAnswer] | None:
        """The next answer; None when there was none for so long.

        Raises what the request raised, once no other one brings a machine.
        """
        try:
            asked, answer = self._answers.get(timeout=seconds)
        except queue.Empty:
            return None
        self.open.remove(asked)
        if not isinstance(answer, BaseException):
            return asked, answer
        while self.open:
            other, late = self._answers.get()
            self.open.remove(other)
            if isinstance(late, LaunchAnswer) and late.machine is not None:
                return other, late
        raise answer

    def _work(self, asked: Asked) -> None:
        answer: LaunchAnswer | BaseException
        try:
            answer = self._ask(asked.offers, asked.number)
        except BaseException as error:
            answer = error
        with self._lock:
            if not self._over:
                self._answers.put((asked, answer))
                return
        self._late(answer)

    def _late(self, answer: LaunchAnswer | BaseException) -> None:
        if isinstance(answer, LaunchAnswer) and answer.machine is not None:
            # Where this fails its own timer ends it.
            with contextlib.suppress(DstackError):
                self._cloud.terminate(answer.machine.region, answer.machine.ids)
            self._ended(answer.machine)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._over = True
        self._late_threads += [self._threads[asked.number] for asked in self.open]
        # What was answered between the last look and now is late, too.
        while not self._answers.empty():
            self._late(self._answers.get()[1])
