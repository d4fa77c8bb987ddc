"""Asking for work in a process of its own."""

from __future__ import annotations

import atexit
import contextlib
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar, TypeVarTuple

from dstack_cloud.apart.server import LAST
from dstack_cloud.errors import InternalError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def _nothing() -> None:
    """Nothing is left to the background."""


class Apart:
    """Carries out functions in another process, which is begun when there is something to do.

    Functions are those of a module, arguments and answers what can be pickled; the process has
    the environment of this one at its beginning. Errors are raised here as they were there. Safe
    to use from several threads; calls may overlap. ``finishing`` is called there at the end, and
    waits for what calls have left to the background.
    """

    def __init__(self, finishing: Callable[[], object] = _nothing) -> None:
        self._finishing = finishing
        self._lock = threading.Lock()
        self._process: _Process | None = None

    def call(self, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """What the function answers there. InternalError where the process ended by itself.

        One that is broken off here (Ctrl-C) is broken off there, unless others are under way.
        """
        process, answer = self._ask(function, arguments)
        process.needed = True
        try:
            found: T = answer.result()
            return found
        except BaseException:
            if not answer.done():
                process.break_off(answer)
            raise

    def begin(self, function: Callable[[*Ts], Any], *arguments: *Ts) -> None:
        """Have it carried out meanwhile, whatever comes of it: something to be loaded, say."""
        self._ask(function, arguments)

    def rest(self) -> None:
        """Nothing will be asked for a while: the process ends unless it has something to do."""
        with self._lock:
            if self._process is not None and self._process.finish():
                self._process = None

    def close(self) -> None:
        """End the process, and wait until it has finished what a call left to the background."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.close()

    def _ask(
        self, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> tuple[_Process, Future[Any]]:
        with self._lock:
            if self._process is None or self._process.over:
                if self._process is None:
                    atexit.register(self.close)
                self._process = _Process(self._finishing)
            return self._process, self._process.ask(function, arguments)


class _Process:
    """One process and the calls that wait for it."""

    def __init__(self, finishing: Callable[[], object]) -> None:
        self.over = False
        self._finishing = finishing
        # Whether anything was asked for that somebody waited for.
        self.needed = False
        self._channel, theirs = socket.socketpair()
        # What the SDKs warn their programmers of is no concern of the user's.
        quiet = [] if sys.warnoptions else ["-W", "ignore"]
        command = [sys.executable, *quiet, "-P", "-m", "dstack_cloud.apart.server"]
        command.append(str(theirs.fileno()))
        # It shares the terminal, for the SDK may have to ask there, but not Ctrl-C.
        with theirs, _without_interrupts():
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[Any]] = {}
        self._asked = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ask(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Future[Any]:
        answer: Future[Any] = Future()
        with self._lock:
            self._asked += 1
            call = pickle.dumps((self._asked, function, arguments))
            self._waiting[self._asked] = answer
            # One that has gone is told by the reader, to all that wait.
            with contextlib.suppress(OSError):
                self._channel.sendall(call)
        return answer

    def break_off(self, answer: Future[Any]) -> None:
        """Nobody waits for this answer any more."""
        with self._lock:
            if all(other is answer for other in self._waiting.values()):
                self.over = True
                self._process.kill()

    def finish(self) -> bool:
        """Let it end, unless it has something to do; whether it does."""
        with self._lock:
            if self._waiting:
                return False
            self.over = True
            with contextlib.suppress(OSError):
                self._channel.sendall(pickle.dumps((LAST, self._finishing, ())))
            return True

    def close(self) -> None:
        """End it; what was only begun is not waited for."""
        if not self.needed or not self.finish():
            self._process.kill()
        self._reader.join()

    def _read(self) -> None:
        with self._channel, self._channel.makefile("rb") as answers:
            while True:
                try:
                    number, found, error = pickle.load(answers)
                except (EOFError, OSError):
                    break
                except Exception:
                    # It was killed in the middle of an answer, say.
                    self._process.kill()
                    break
                with self._lock:
                    answer = self._waiting.pop(number)
                if error is None:
                    answer.set_result(found)
                else:
                    answer.set_exception(error)
            code = self._process.wait()
            with self._lock:
                self.over = True
                left, self._waiting = list(self._waiting.values()), {}
            for answer in left:
                answer.set_exception(InternalError(_ended(code)))


def _ended(code: int) -> str:
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    return f"the process that speaks to the cloud has ended {how}"


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """What is started meanwhile never sees Ctrl-C: a process inherits what is held back."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
