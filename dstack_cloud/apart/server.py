"""The process that works for another: ``python -m dstack_cloud.apart.server FD``.

``FD`` is one end of a socket pair. Over it come pickles of (number, function, arguments); back go
(number, answer, error). Each call has a thread of its own; the one numbered `LAST` is not answered:
when it is done, the process ends. When the caller is gone, however it went, it ends at once, in
the middle of a call too: nothing is done for nobody.
"""

from __future__ import annotations

import os
import pickle
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from dstack_cloud.errors import DstackError, InternalError

Call = tuple[int, Callable[..., Any], tuple[Any, ...]]
LAST = 0

Answer = tuple[int, Any, Exception | None]


def serve(channel: socket.socket) -> None:
    """Carry out what is asked for until the last call, or as long as there is a caller."""
    sending = threading.Lock()

    def work(number: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        answer = pickled(carry_out(number, function, arguments))
        with sending:
            channel.sendall(answer)

    with channel.makefile("rb") as calls:
        while True:
            try:
                call: Call = pickle.load(calls)
            except (EOFError, OSError):
                return
            if call[0] == LAST:
                carry_out(*call)
                return
            threading.Thread(target=work, args=call, daemon=True).start()


def carry_out(number: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Answer:
    """What a call came to. A bug of ours is a RuntimeError, with its traceback as a note: not
    every library's errors can be sent."""
    try:
        return number, function(*arguments), None
    except DstackError as error:
        return number, None, error
    except Exception as error:
        bug = RuntimeError(f"{type(error).__name__}: {error}")
        bug.add_note(traceback.format_exc())
        return number, None, bug


def pickled(answer: Answer) -> bytes:
    """The answer's bytes; those of an InternalError where it cannot be sent."""
    try:
        return pickle.dumps(answer)
    except Exception as error:
        number, result, _ = answer
        what = type(result).__name__
        return pickle.dumps((number, None, InternalError(f"a {what} cannot be sent: {error}")))


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
    # To take apart all that was loaded would take longer than the last call.
    os._exit(0)
