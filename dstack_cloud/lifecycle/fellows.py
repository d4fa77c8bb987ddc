"""The other machines of an attempt: their jobs start before node 0's, their logs are told with its.

What the nodes have to say to each other, who has failed and who has ended, their agents say
through the store: no client is needed for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from dstack_cloud.errors import DstackError
from dstack_cloud.lifecycle.connection import CONNECT_SHARE, connect
from dstack_cloud.lifecycle.follow import Following, Watch, follow
from dstack_cloud.lifecycle.going import Going
from dstack_cloud.lifecycle.launch import Launched
from dstack_cloud.lifecycle.start import start
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.ssh.base import Session

_AT_ONCE = 8
# After node 0's end, which comes last, the others' logs are whole: in the store at the latest.
_LAST_WORDS_S = 30.0


def start_fellows(
    tools: Tools, going: Going, attempt: int, launched: Launched
) -> tuple[Launched, tuple[Following, ...]]:
    """Start the jobs of nodes 1 and up; the machines as they are now, and what to follow.

    Raises what `connect` and `start` raise, once all have answered.
    """
    private = going.private()
    fellows = launched.machine.fellows

    def reach(number: int) -> Session:
        each = replace(launched, machine=fellows[number])
        sessions[number], known[number] = connect(tools, each, limit)
        return sessions[number]

    def begin(number: int) -> str:
        session = sessions[number]
        return start(tools, session, going.record, attempt, launched, private, number + 1)

    limit = CONNECT_SHARE * tools.timers.no_job
    sessions: dict[int, Session] = {}
    known = dict(enumerate(fellows))
    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(reach, range(len(fellows))))
            launched = replace(
                launched, machine=replace(launched.machine, fellows=tuple(known.values()))
            )
            host_keys = list(pool.map(begin, range(len(fellows))))
    finally:
        for session in sessions.values():
            session.close()
    followed = zip(known.values(), host_keys, strict=True)
    run = going.record.run
    return launched, tuple(
        Following(run, attempt, machine, host_key, node)
        for node, (machine, host_key) in enumerate(followed, 1)
    )


class Fellows:
    """Follows the nodes beside the first, each in a thread; ``log`` is told a node's bytes."""

    def __init__(self, tools: Tools, target: Following, log: Callable[[bytes, int], None]) -> None:
        self._tools = tools
        self._log = log
        self._left = False
        self._threads = [
            threading.Thread(target=self._follow, args=(other,), daemon=True)
            for other in target.others
        ]
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """The attempt has ended: take what is left of the logs."""
        for thread in self._threads:
            thread.join(_LAST_WORDS_S)
        self._left = True

    def leave(self) -> None:
        """The client goes, the nodes go on: nothing more is told."""
        self._left = True

    def _follow(self, target: Following) -> None:
        try:
            follow(
                self._tools, target, None, 0, Watch(lambda data: self._tell(target, data), _ignore)
            )
        except DstackError as error:
            if not self._left:
                self._tools.report.warn(f"node-{target.node}", error.message, error.hint)

    def _tell(self, target: Following, data: bytes) -> None:
        if not self._left:
            self._log(data, target.node)


def _ignore(status: Mapping[str, Any]) -> None:
    """What a node's agent does is told by node 0, as far as it matters to all."""
