"""The container's image: there already, or pulled with progress, or a failure in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from .control import Control
from .engine import Engine, EngineError
from .errors import Failure, Interrupted, StoreError
from .pull_errors import Meaning, meaning_of
from .registry import Login


class Progress:
    """Adds up the events of a pull. ``bytes`` is what all layers have received so far."""

    def __init__(self) -> None:
        self._layers: dict[str, int] = {}
        self._last: dict[str, tuple[object, ...]] = {}
        self.bytes = 0

    def add(self, event: dict[str, Any]) -> bool:
        """True when the event says something new. Raises EngineError for an error event."""
        if "error" in event:
            raise EngineError(200, str(event["error"]))
        layer = str(event.get("id", ""))
        detail = event.get("progressDetail") or {}
        now = (event.get("status"), detail.get("current"))
        if event.get("status") == "Downloading" and isinstance(detail.get("current"), int):
            self._layers[layer] = detail["current"]
            self.bytes = sum(self._layers.values())
        changed = self._last.get(layer) != now
        self._last[layer] = now
        return changed


def follow_pull(
    events: Iterable[Any],
    *,
    stall: float,
    clock: Callable[[], float],
    report: Callable[[int], None],
    wanted: Callable[[], bool],
) -> None:
    """Read a pull's events to the end. Raises EngineError, TimeoutError after ``stall`` seconds
    without progress, Interrupted when it is no longer ``wanted``."""
    progress = Progress()
    last = clock()
    for event in events:
        if not wanted():
            raise Interrupted
        if event is not None and progress.add(event):
            last = clock()
            report(progress.bytes)
        elif clock() - last > stall:
            raise TimeoutError


def ensure_image(
    engine: Engine,
    image: str,
    *,
    login: Callable[[], Login | None],
    may_pull: bool,
    stall: float,
    control: Control,
    report: Callable[[int], None],
) -> None:
    """Have the image on the machine; ``login`` says how to sign in, and raises Failure or
    StoreError. Raises Failure, or Interrupted."""
    try:
        if engine.image(image) is not None:
            return
    except EngineError as error:
        # A name that is none is refused even when it is only looked for.
        raise meaning_of(image, error.message).failure from error
    if not may_pull:
        raise Failure("image", f"the image {image} is not on this machine")
    tries = 0
    while True:
        meaning = _try(engine, image, login, stall, control, report)
        if meaning is None:
            return
        if tries >= len(meaning.pauses):
            raise meaning.failure
        control.pause(meaning.pauses[tries])
        if control.cause is not None:
            raise Interrupted
        tries += 1


def _try(
    engine: Engine,
    image: str,
    login: Callable[[], Login | None],
    stall: float,
    control: Control,
    report: Callable[[int], None],
) -> Meaning | None:
    """Pull once; None if that went well. Raises Failure for what another try cannot mend, or
    Interrupted."""
    who = None
    try:
        who = login()
        follow_pull(
            engine.pull(image, patience=0.5, login=who and who[:2]),
            stall=stall,
            clock=time.monotonic,
            report=report,
            wanted=lambda: control.cause is None,
        )
        return None
    except TimeoutError:
        raise Failure(
            "registry",
            f"the pull of {image} made no progress for {stall:g} seconds",
            "try again; or use a registry that is nearer to the machine, or raise "
            "timers.pull_stall in the configuration",
        ) from None
    except EngineError as error:
        return meaning_of(image, error.message, who)
    except StoreError as error:
        failure = Failure("registry", f"there is no login for {image}: {error}", "try again")
        return Meaning(failure, (3.0, 3.0))
