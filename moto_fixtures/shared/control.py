"""The control interface, ``/_emulator/…``: what happened, and what shall go wrong.

Here is what every emulated cloud has; each adds its own.
"""

from __future__ import annotations

import json
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from decimal import InvalidOperation
from typing import Any, Protocol
from urllib.parse import parse_qs

from moto_fixtures.shared.clock import Clock
from moto_fixtures.shared.faults import Faults
from moto_fixtures.shared.holds import Holds
from moto_fixtures.shared.log import CallLog

PREFIX = "/_emulator/"
Query = dict[str, str]
Body = dict[str, Any]
Routes = tuple[tuple[str, str, Callable[..., Any]], ...]


class NotFound(Exception):
    """There is no such thing to control."""


class Controlled(Protocol):
    """What an emulator keeps for its control interface."""

    clock: Clock
    log: CallLog
    faults: Faults
    holds: Holds
    logins: dict[str, str]


class Control(ABC):
    """Answers the requests below ``/_emulator/``; see the README for each."""

    def __init__(self, emulator: Controlled, info: dict[str, Any], own: Routes) -> None:
        self._kept = emulator
        self._info = info
        common: Routes = (
            ("GET", "ready", self._ready),
            ("GET", "calls", self._calls),
            ("DELETE", "calls", self._clear_calls),
            ("GET", "machines", self._machines),
            ("GET", "faults", self._faults),
            ("POST", "faults", self._add_fault),
            ("DELETE", "faults(?:/([0-9]+))?", self._remove_faults),
            ("GET", "holds", self._holds),
            ("POST", "holds", self._add_hold),
            ("POST", "holds/([0-9]+)/release", self._release),
            ("DELETE", "holds", self._clear_holds),
            ("POST", "registry-logins", self._registry_login),
            ("GET", "clock", self._clock),
            ("POST", "clock", self._advance),
            ("DELETE", "clock", self._reset_clock),
        )
        self._routes = [(verb, re.compile(path), handler) for verb, path, handler in common + own]

    @property
    @abstractmethod
    def gone(self) -> threading.Condition:
        """Notified when a machine has ended."""

    @abstractmethod
    def listing(self) -> list[dict[str, Any]]:
        """The machines, JSON-ready; ``state`` is ``off`` once one has ended."""

    def handle(self, method: str, path: str, query: str, body: bytes) -> tuple[int, Any]:
        """HTTP status and JSON value; ``path`` is what follows the prefix."""
        asked = {k: v[0] for k, v in parse_qs(query, keep_blank_values=True).items()}
        try:
            given = json.loads(body or b"{}")
            if not isinstance(given, dict):
                raise ValueError("the body is a JSON object")
            for verb, pattern, handler in self._routes:
                match = pattern.fullmatch(path.strip("/"))
                if match and verb == method:
                    return 200, handler(asked, given, *match.groups())
        except NotFound as error:
            return 404, {"error": str(error)}
        except (ValueError, TypeError, KeyError, InvalidOperation) as error:
            return 400, {"error": f"{type(error).__name__}: {error}"}
        return 404, {"error": f"no such control: {method} {PREFIX}{path}"}

    def _registry_login(self, query: Query, body: Body) -> Any:
        """A user of the registry that wants a login of its own."""
        self._kept.logins[str(body["username"])] = str(body["password"])
        return {"username": body["username"]}

    def _ready(self, query: Query, body: Body) -> Any:
        return {"ready": True, **self._info}

    def _calls(self, query: Query, body: Body) -> Any:
        return self._kept.log.entries(int(query.get("since", 0)))

    def _clear_calls(self, query: Query, body: Body) -> Any:
        self._kept.log.clear()
        return {}

    def _machines(self, query: Query, body: Body) -> Any:
        """With ``?until=none&wait=S``, answer once no machine is left, or after S seconds."""
        if query.get("until") == "none":
            deadline = time.monotonic() + float(query.get("wait", 30))
            with self.gone:
                while any(m["state"] != "off" for m in self.listing()):
                    left = deadline - time.monotonic()
                    if left <= 0:
                        break
                    self.gone.wait(min(left, 0.2))
        return self.listing()

    def _faults(self, query: Query, body: Body) -> Any:
        return self._kept.faults.listing()

    def _add_fault(self, query: Query, body: Body) -> Any:
        return asdict(self._kept.faults.add(body))

    def _remove_faults(self, query: Query, body: Body, number: str | None) -> Any:
        self._kept.faults.remove(None if number is None else int(number))
        return {}

    def _holds(self, query: Query, body: Body) -> Any:
        return self._kept.holds.listing(float(query.get("wait", 0)))

    def _add_hold(self, query: Query, body: Body) -> Any:
        return self._kept.holds.add(body).view()

    def _release(self, query: Query, body: Body, number: str) -> Any:
        if not self._kept.holds.release(int(number), bool(body.get("drop", False))):
            raise NotFound(f"no hold {number} that is not released")
        return {"id": int(number)}

    def _clear_holds(self, query: Query, body: Body) -> Any:
        self._kept.holds.clear()
        return {}

    def _clock(self, query: Query, body: Body) -> Any:
        clock = self._kept.clock
        return {"now": clock.now().isoformat(), "advanced_s": clock.offset_s}

    def _advance(self, query: Query, body: Body) -> Any:
        seconds = float(body["advance_s"])
        if seconds < 0:
            raise ValueError("time goes forward only")
        self._kept.clock.advance(seconds)
        return self._clock(query, body)

    def _reset_clock(self, query: Query, body: Body) -> Any:
        self._kept.clock.reset()
        return self._clock(query, body)
