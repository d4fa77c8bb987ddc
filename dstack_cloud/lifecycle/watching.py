"""From log bytes and status to what the user sees while an attempt runs."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from dstack_cloud.lifecycle.named import Named
from dstack_cloud.lifecycle.report import Reporter
from dstack_cloud.state.cri import Output
from dstack_cloud.units import format_size


class Progress:
    """Tells the reporter of phases until output begins, then of the output."""

    def __init__(self, report: Reporter, run: str, nodes: int = 1) -> None:
        self._report = report
        self._run = run
        self._decoder = Output()
        self._named = Named() if nodes > 1 else None
        # The logs of several nodes come by several threads.
        self._lock = threading.Lock()
        self._open = False
        self._phase: str | None = None
        self._told_image = False
        self._sync_error: str | None = None
        self._sync_warning: str | None = None

    def status(self, status: Mapping[str, Any]) -> None:
        """The agent's status has changed."""
        phase = str(status["phase"])
        detail = status.get("detail") or {}
        if not self._open:
            self._image(status)
        if phase == "running" and self._phase != "running":
            with self._lock:
                self._begin()
        elif phase != "running" and not self._open:
            self._report.working(phase, _words(detail.get("image", ""), detail.get("pulled_bytes")))
        self._phase = phase
        sync = status.get("sync") or {}
        error, warning = sync.get("error"), sync.get("warning")
        if error and error != self._sync_error:
            self._report.warn("sync", str(error), "artifacts are tried again until the end")
        self._sync_error = error
        if warning and warning != self._sync_warning:
            self._report.warn("sync", str(warning))
        self._sync_warning = warning

    def log(self, data: bytes, node: int = 0) -> None:
        """Bytes of the log file (of one of the nodes), in order."""
        with self._lock:
            self._begin()
            if self._named is None:
                self._report.output(self._decoder.feed(data))
            elif lines := self._named.feed(node, data):
                self._report.output(lines)

    def lines(self, text: bytes) -> None:
        """Output that is text already."""
        self._begin()
        self._report.output(text)

    def close(self) -> None:
        """No more will come."""
        with self._lock:
            if self._open:
                if self._named is not None and (rest := self._named.finish()):
                    self._report.output(rest)
                self._report.closed()
                self._open = False

    def _begin(self) -> None:
        if not self._open:
            self._report.opened(self._run)
            self._open = True

    def _image(self, status: Mapping[str, Any]) -> None:
        found = status.get("image")
        if found and not self._told_image:
            self._told_image = True
            self._report.done("image", _words(found["name"], found["bytes"]), found["seconds"])


def _words(image: str, size: int | None) -> str:
    return f"{image}, {format_size(size)}" if size else image
