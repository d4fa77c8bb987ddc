"""A port of this machine's loopback that leads to one behind a session: the relay, no SSH in it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from dstack_cloud.ssh.base import ConnectionLostError, Pipe

_CHUNK = 1 << 18
_LOOPBACK = "127.0.0.1"
# A page asks for many things at once.
_WAITING = 128


class Tunnel:
    """Listens on this machine's loopback from the beginning; each connection is dialled anew.

    ``dial`` answers a connection to the other end, or raises ConnectionLostError: then the caller
    is hung up on. It may block, and is called from threads. ``port`` is the one that is listened
    at: the wanted one, else, where that is taken or not allowed, a free one.
    """

    def __init__(self, wanted: int, dial: Callable[[], Pipe]) -> None:
        self._dial = dial
        try:
            self._listener = socket.create_server((_LOOPBACK, wanted), backlog=_WAITING)
        except OSError:
            self._listener = socket.create_server((_LOOPBACK, 0), backlog=_WAITING)
        self.port: int = self._listener.getsockname()[1]
        self._open: set[Pipe] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True, name=f"port {self.port}").start()

    def close(self) -> None:
        """Stop listening and hang up on everybody; harmless twice."""
        # A thread that waits in accept() is woken by this, not by close() alone.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for pipe in self._open:
                _hang_up(pipe)

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.closing(caller):
            try:
                far = self._dial()
            except ConnectionLostError:
                return
            far.settimeout(None)
            with contextlib.closing(far), self._kept(caller, far):
                back = threading.Thread(target=_pump, args=(far, caller), daemon=True)
                back.start()
                _pump(caller, far)
                back.join()

    @contextlib.contextmanager
    def _kept(self, *pipes: Pipe) -> Iterator[None]:
        with self._lock:
            self._open.update(pipes)
        try:
            yield
        finally:
            with self._lock:
                self._open.difference_update(pipes)


def _pump(source: Pipe, target: Pipe) -> None:
    """Copy until ``source`` has no more, and say so to ``target``; a break closes both."""
    try:
        while data := source.recv(_CHUNK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except (OSError, EOFError):
        _hang_up(source)
        _hang_up(target)


def _hang_up(pipe: Pipe) -> None:
    # A socket's close() alone wakes nobody who reads from it.
    with contextlib.suppress(OSError, EOFError):
        pipe.shutdown(socket.SHUT_RDWR)
    pipe.close()
