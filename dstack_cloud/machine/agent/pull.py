"""The container's image: there already, or pulled with progress, or a failure in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from .control import Control
from .engine import Engine, EngineError
from .errors import Failure, Interrupted

# A machine that has just booted may have no name service yet, and registries have bad seconds.
_TRIES = 3
_PAUSE = 3.0
_UNREACHABLE = (
    "no such host",
    "connection refused",
    "i/o timeout",
    "timeout exceeded",
    "network is unreachable",
    "no route to host",
    "connection reset",
    "tls handshake",
    "server misbehaving",
    "temporary failure in name resolution",
    "awaiting headers",
    "eof",
    "503",
    "502",
)


def failure_of(image: str, message: str) -> tuple[Failure, bool]:
    """What an engine's error text means, and whether another try may help.

    The engine tells its errors apart by text only: the same status stands for many.
    """
    text = message.lower()
    if "no space left on device" in text:
        return Failure(
            "disk",
            f"the disk is full: the image {image} does not fit",
            "ask for more with `disk` in the workflow's resources, such as disk: 200GB",
        ), False
    if "toomanyrequests" in text or "rate limit" in text:
        return Failure(
            "registry",
            f"the registry limits pulls of {image}: {message}",
            "wait, or use a copy of the image in a registry of your own",
        ), False
    if "no matching manifest" in text:
        return Failure(
            "image",
            f"the image {image} does not exist for this machine's architecture",
            "use an image that is built for linux/amd64",
        ), False
    if "pull access denied" in text or "denied" in text or "unauthorized" in text:
        return Failure(
            "image",
            f"access to the image {image} is denied, or it does not exist",
            "check the image's name; a private image needs a login",
        ), False
    if "not found" in text or "manifest unknown" in text or "unknown manifest" in text:
        return Failure(
            "image",
            f"the image {image} does not exist",
            "check the image's name and tag",
        ), False
    if "invalid reference" in text:
        return Failure(
            "image",
            f"'{image}' is not the name of an image",
            "write it like ubuntu:24.04 or ghcr.io/owner/name:tag",
        ), False
    if any(words in text for words in _UNREACHABLE):
        return Failure(
            "registry",
            f"the registry of {image} cannot be reached: {message}",
            "check the registry in the image's name, and the machines' way to it; else try again",
        ), True
    return Failure("image", f"the image {image} cannot be pulled: {message}"), True


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
    may_pull: bool,
    stall: float,
    control: Control,
    report: Callable[[int], None],
) -> None:
    """Have the image on the machine. Raises Failure, or Interrupted."""
    try:
        if engine.image(image) is not None:
            return
    except EngineError as error:
        # A name that is none is refused even when it is only looked for.
        raise failure_of(image, error.message)[0] from error
    if not may_pull:
        raise Failure("image", f"the image {image} is not on this machine")
    for attempt in range(1, _TRIES + 1):
        try:
            follow_pull(
                engine.pull(image, patience=0.5),
                stall=stall,
                clock=time.monotonic,
                report=report,
                wanted=lambda: control.cause is None,
            )
            return
        except TimeoutError:
            raise Failure(
                "registry",
                f"the pull of {image} made no progress for {stall:g} seconds",
                "try again; or use a registry that is nearer to the machine, or raise "
                "timers.pull_stall in the configuration",
            ) from None
        except EngineError as error:
            failure, passing = failure_of(image, error.message)
            if not passing or attempt == _TRIES:
                raise failure from error
            control.pause(_PAUSE)
