"""Holding the nth call of a kind, before it is executed or before it is answered."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

HOLD_LIMIT_S = 120.0
"""A held call is dropped after so long: a test that died must not hold it for ever."""


@dataclass
class Hold:
    """``state``: ``armed`` (not reached yet), ``waiting`` (a call is held), ``released``."""

    id: int
    action: str
    nth: int
    when: str
    principal: str | None
    seen: int = 0
    state: str = "armed"
    sequence: int | None = None
    drop: bool = False

    def view(self) -> dict[str, Any]:
        """JSON-ready; ``sequence`` is that of the held call in the call log."""
        return {
            "id": self.id,
            "action": self.action,
            "nth": self.nth,
            "when": self.when,
            "principal": self.principal,
            "seen": self.seen,
            "state": self.state,
            "sequence": self.sequence,
        }


class Holds:
    """Posted holds. Each strikes once."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holds: list[Hold] = []
        self._next = 1

    def add(self, order: dict[str, Any]) -> Hold:
        """Accept a hold as posted; ValueError names what is wrong with it."""
        unknown = sorted(set(order) - {"action", "nth", "when", "principal"})
        if unknown:
            raise ValueError(f"unknown keys in hold: {', '.join(unknown)}")
        when = str(order.get("when", "before"))
        if when not in ("before", "after"):
            raise ValueError("when is 'before' or 'after'")
        nth = int(order.get("nth", 1))
        if nth < 1:
            raise ValueError("nth counts from 1")
        with self._changed:
            hold = Hold(
                self._next, str(order.get("action", "*")), nth, when, order.get("principal")
            )
            self._next += 1
            self._holds.append(hold)
        return hold

    def claim(self, action: str, names: list[str]) -> list[Hold]:
        """Count a call that arrives; the holds whose turn it is by that count."""
        with self._changed:
            due = []
            for hold in self._holds:
                if hold.state != "armed" or hold.seen >= hold.nth:
                    continue
                if not fnmatchcase(action, hold.action):
                    continue
                if hold.principal and not any(fnmatchcase(n, hold.principal) for n in names):
                    continue
                hold.seen += 1
                if hold.seen == hold.nth:
                    due.append(hold)
            return due

    def wait(self, hold: Hold, sequence: int) -> bool:
        """Hold the calling thread until released; True when the call is to be dropped."""
        deadline = time.monotonic() + HOLD_LIMIT_S
        with self._changed:
            hold.state, hold.sequence = "waiting", sequence
            self._changed.notify_all()
            while hold.state == "waiting":
                left = deadline - time.monotonic()
                if left <= 0:
                    hold.state, hold.drop = "released", True
                    self._changed.notify_all()
                    break
                self._changed.wait(left)
            return hold.drop

    def release(self, number: int, drop: bool) -> bool:
        """Let a held (or still armed) one go; False when there is none of that number."""
        with self._changed:
            for hold in self._holds:
                if hold.id == number and hold.state != "released":
                    hold.state, hold.drop = "released", drop
                    self._changed.notify_all()
                    return True
        return False

    def listing(self, wait_s: float = 0.0) -> list[dict[str, Any]]:
        """All holds not yet released; with ``wait_s``, return once one of them is waiting."""
        deadline = time.monotonic() + wait_s
        with self._changed:
            while not any(h.state == "waiting" for h in self._holds):
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            return [h.view() for h in self._holds if h.state != "released"]

    def clear(self) -> None:
        """Release every held call (undropped) and forget the rest."""
        with self._changed:
            for hold in self._holds:
                hold.state = "released"
            self._holds = []
            self._changed.notify_all()
