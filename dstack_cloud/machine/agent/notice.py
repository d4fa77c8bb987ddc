"""The cloud's word that it will take the machine back: watched, announced, acted upon."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from .cloud import Look, Notice
from .note import note
from .times import text, unix

# After a question that failed.
_PAUSE = 1.0


class Watcher:
    """Follows every place where a notice may be. Each new action is announced once, so that what
    follows an early warning is, too."""

    def __init__(self, looks: Sequence[Look], announce: Callable[[Notice], None]) -> None:
        self._looks = looks
        self._announce = announce
        self._lock = threading.Lock()
        self._known: set[str] = set()

    def start(
        self, thread: Callable[[str, Callable[[], None]], object], over: threading.Event
    ) -> None:
        """A thread for each place: to ask one may take long."""
        for number, look in enumerate(self._looks):
            thread(f"notice-{number}", lambda look=look: self._follow(look, over))  # type: ignore[misc]

    def _follow(self, look: Look, over: threading.Event) -> None:
        failing = False
        while not over.is_set():
            try:
                found = look()
                failing = False
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                if not failing:
                    note(f"notice: {error!r}")
                failing = True
                over.wait(_PAUSE)
                continue
            if found is not None:
                with self._lock:
                    if found.action not in self._known:
                        self._known.add(found.action)
                        self._announce(found)


def as_status(notice: Notice) -> dict[str, str]:
    """The notice for status.json, by this machine's own clock."""
    moment = time.time()
    return {"at": text(moment), "action": notice.action, "by": text(moment + notice.seconds)}


def left(notice: Mapping[str, str]) -> float:
    """Seconds until a notice of status.json comes true."""
    return unix(notice["by"]) - time.time()


def working_time(seconds: float) -> float:
    """Of the seconds that are left, those that may be spent on saving: the rest is for the end's
    record and for a clock that is not quite right."""
    return max(0.0, seconds - min(10.0, seconds / 4))
