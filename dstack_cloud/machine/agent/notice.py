"""The cloud's word that it will take the machine back: watched, announced, acted upon.

AWS: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
and .../rebalance-recommendations.html
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .metadata import Metadata
from .note import note
from .times import now, text, unix

_EVERY = 1.0
# Two minutes are what AWS gives; after an early warning, too, it is better not to take longer.
_AWS = 120.0
# The clocks disagree, or the agent came late: then there is little time.
_LATE = 30.0


class Notice(NamedTuple):
    """``action`` is terminate, stop, hibernate or rebalance; ``seconds`` are left from now."""

    action: str
    seconds: float


def _aws(job: Mapping[str, Any]) -> Callable[[], Notice | None]:
    metadata = Metadata()
    early = "rebalance" in (job["retry"] or {"on": ()})["on"]

    def look() -> Notice | None:
        found = metadata.get("meta-data/spot/instance-action")
        if found:
            told = json.loads(found)
            left = unix(told["time"]) - time.time()
            return Notice(str(told["action"]), min(left, _AWS) if left > 0 else _LATE)
        if early and metadata.get("meta-data/events/recommendations/rebalance"):
            return Notice("rebalance", _AWS)
        return None

    return look


# Another cloud's way to say it (GCP: `instance/preempted`) is one more entry here.
SOURCES: dict[str, Callable[[Mapping[str, Any]], Callable[[], Notice | None]]] = {"aws": _aws}


def watch(
    job: Mapping[str, Any], over: threading.Event, announce: Callable[[Notice], None]
) -> None:
    """Ask every second; each new action is announced once, so that what follows an early warning
    is, too."""
    looks = [SOURCES[name](job) for name in job["notices"]]
    known: str | None = None
    failing = False
    while looks and not over.wait(_EVERY):
        for look in looks:
            try:
                found = look()
                failing = False
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                if not failing:
                    note(f"notice: {error!r}")
                failing = True
                continue
            if found is not None and found.action != known:
                known = found.action
                announce(found)


def as_status(notice: Notice) -> dict[str, str]:
    """The notice for status.json, by this machine's own clock."""
    return {"at": now(), "action": notice.action, "by": text(time.time() + notice.seconds)}


def left(notice: Mapping[str, str]) -> float:
    """Seconds until a notice of status.json comes true."""
    return unix(notice["by"]) - time.time()


def working_time(seconds: float) -> float:
    """Of the seconds that are left, those that may be spent on saving: the rest is for the end's
    record and for a clock that is not quite right."""
    return max(0.0, seconds - min(10.0, seconds / 4))
