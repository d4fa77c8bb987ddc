"""The output of a run on several machines, as one: see `named`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dstack_cloud.errors import DstackError
from dstack_cloud.lifecycle.fellows import Fellows
from dstack_cloud.lifecycle.follow import Following, Watch, follow
from dstack_cloud.lifecycle.join import find, join_if_possible
from dstack_cloud.lifecycle.named import Named, by_time, merged_attempt, stored
from dstack_cloud.lifecycle.read_logs import rest_of_log
from dstack_cloud.lifecycle.recover import reconcile
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.lifecycle.verdict import Verdict
from dstack_cloud.ssh.base import Session

_CONNECT_S = 10.0
_POLL_S = 1.0


def print_nodes(
    tools: Tools,
    run: str,
    nodes: int,
    following: bool,
    timestamps: bool,
    write: Callable[[bytes], None],
) -> None:
    """As `print_logs`, for a run on several machines: each attempt's lines by their moments. What
    is still to come is written as it comes."""
    attempt = 1
    while True:
        over = reconcile(tools, run) is Verdict.ENDED
        found = find(tools, run)
        live = found.end is None and found.target is not None
        for number in range(attempt, found.attempt + (not live)):
            for line in merged_attempt(tools.store, run, number, nodes, timestamps):
                write(line)
        attempt = found.attempt + (not live)
        if found.target is not None and live:
            session = join_if_possible(tools, found)
            if following:
                _follow(tools, found.target, session, Named(timestamps), write)
                attempt = found.attempt + 1
            else:
                if session is not None:
                    session.close()
                for line in by_time(_logs(tools, found.target), timestamps):
                    write(line)
        if over or not following:
            return
        time.sleep(_POLL_S)


def _logs(tools: Tools, target: Following) -> Mapping[int, Iterator[bytes]]:
    return {each.node: _log(tools, each) for each in (target, *target.others)}


def _log(tools: Tools, target: Following) -> Iterator[bytes]:
    """A node's log as it is now: what the store has, then what only its machine has."""
    from dstack_cloud.lifecycle.machine_record import machine_from_json
    from dstack_cloud.state import attempts

    offset = 0
    for data in stored(tools.store, target.run, target.attempt, target.node):
        offset += len(data)
        yield data
    recorded = attempts.read_machine(tools.store, target.run, target.attempt, target.node)
    host_key = machine_from_json(recorded)[1] if recorded else target.host_key
    machine = tools.cloud.machine(target.machine.region, target.machine.id)
    if machine is None:
        return
    try:
        session = tools.reach.session(machine, host_key, _CONNECT_S)
        yield from rest_of_log(tools.reach.home(machine), session, offset)
    except DstackError:
        return  # What it wrote in the last seconds is on its way to the store.


def _follow(
    tools: Tools,
    target: Following,
    session: Session | None,
    lines: Named,
    write: Callable[[bytes], None],
) -> None:
    lock = threading.Lock()

    def log(data: bytes, node: int = 0) -> None:
        with lock:
            write(lines.feed(node, data))

    fellows = Fellows(tools, target, log)
    follow(tools, target, session, 0, Watch(log, _ignore))
    fellows.finish()
    with lock:
        write(lines.finish())


def _ignore(status: Mapping[str, Any]) -> None:
    """Phases are not part of the output."""
