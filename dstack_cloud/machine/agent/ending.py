"""Waits for the container's end, and brings it about when something asks for it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any

from . import machine
from .control import WITHOUT_GRACE, Control
from .engine import Engine, EngineError
from .note import note
from .paths import Paths, read_json, write_json
from .times import unix, uptime

_GLANCE = 1.0


def shortened(grace: float, left: float) -> float:
    """The grace period where only so many seconds are left: what the container leaves must still be
    saved after it. Pure."""
    return min(grace, max(left - max(10.0, left / 3), left / 2, 0.0))


class Ending:
    """``wait`` returns when the container has ended and its log is whole."""

    def __init__(
        self, engine: Engine, job: Mapping[str, Any], paths: Paths, control: Control
    ) -> None:
        self._engine = engine
        self._job = job
        self._paths = paths
        self._control = control
        self._acted: dict[str, Any] = read_json(paths.cause) or {}

    def acted_upon(self) -> str | None:
        """The cause that the container was stopped for; None when it ended by itself. A machine
        that lost the run to another attempt has lost it in either case."""
        if self._control.cause == "fenced":
            return "fenced"
        return self._acted.get("cause")

    def wait(self, started: str) -> None:
        limit = None
        if self._job["max_duration"] is not None:
            limit = unix(started) + self._job["max_duration"]
            rest = limit - time.time() + self._job["grace"] + machine.SAVING
            machine.limit(self._paths, max(0.0, rest))
        acted = None
        while not self._control.container_ended:
            if self._control.cause != acted:
                acted = self._control.cause
                assert acted is not None
                self._stop(acted)
            elif limit is not None and acted is None and time.time() >= limit:
                self._control.request("max_duration")
            else:
                self._control.wait(None if limit is None or acted else limit - time.time(), acted)

    def _stop(self, cause: str) -> None:
        """Stop the container for ``cause``; returns early if a stronger one comes up."""
        known = self._acted
        if known.get("cause") != cause:
            # A grace period that has begun is not prolonged by a further cause.
            deadline = min(self._grace_ends(), known.get("deadline", float("inf")))
            known = {"cause": cause, "deadline": deadline, "told": known.get("told", False)}
            self._note(known)
        if cause not in WITHOUT_GRACE:
            if not known["told"]:
                self._signal("TERM")
                self._note({**known, "told": True})
            deadline = known["deadline"]
            while not self._control.container_ended and self._control.cause == cause:
                # A second notice may leave less time than the first one did.
                deadline = min(deadline, self._grace_ends())
                rest = deadline - uptime()
                if rest <= 0:
                    break
                self._control.wait(min(rest, _GLANCE), cause)
            if self._control.container_ended or self._control.cause != cause:
                return
        while not self._control.container_ended:
            self._signal("KILL")
            self._control.wait(5.0, self._control.cause)

    def _grace_ends(self) -> float:
        """When a grace period that begins now would end, by the uptime."""
        grace = float(self._job["grace"])
        if self._control.until is not None:
            grace = shortened(grace, self._control.until - time.monotonic())
        return uptime() + grace

    def _note(self, acted: dict[str, Any]) -> None:
        """Remember what is being done, beyond this process where the disk has room."""
        self._acted = acted
        with contextlib.suppress(OSError):
            write_json(self._paths.cause, acted)

    def _signal(self, name: str) -> None:
        try:
            self._engine.kill(self._job["container"]["name"], name)
        except EngineError as error:
            note(f"signal {name}: {error.message}")

    @staticmethod
    def out_of_memory_kills() -> int:
        """How many processes the kernel has killed for want of memory since the boot."""
        try:
            with open("/proc/vmstat") as file:
                for line in file:
                    if line.startswith("oom_kill "):
                        return int(line.split()[1])
        except OSError:
            pass
        return 0
