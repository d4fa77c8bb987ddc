"""Faults that a test asked for: errors, delays and dropped connections, matched to calls."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any


@dataclass
class Fault:
    """One standing order.

    ``action`` a name or a pattern; ``match`` attribute → pattern (``instance_type``, ``zone``,
    ``region``, ``principal``, ``access_key``, ``service``, ``spot``, or a parameter's name);
    ``times`` how many calls it strikes (None: until removed); ``when`` ``before`` the call is
    executed or ``after`` it was. Then any of: ``delay_s``, ``error`` (with ``message`` and
    ``http``, the status), ``drop``, ``operation_s`` (how long the operation takes that the call
    begins, where the cloud has operations).
    """

    id: int
    action: str = "*"
    match: dict[str, str] = field(default_factory=dict)
    times: int | None = 1
    when: str = "before"
    error: str | None = None
    message: str | None = None
    http: int | None = None
    delay_s: float = 0.0
    drop: bool = False
    operation_s: float | None = None
    struck: int = 0

    @property
    def exhausted(self) -> bool:
        return self.times is not None and self.struck >= self.times


def _values(found: Any) -> list[str]:
    if isinstance(found, list | tuple | set):
        return [text for item in found for text in _values(item)]
    if isinstance(found, bool):
        return [str(found).lower()]
    return [] if found is None else [str(found)]


def matches(fault: Fault, action: str, attributes: dict[str, Any]) -> bool:
    """Whether the fault's patterns hold for a call's action and attributes."""
    if not fnmatchcase(action, fault.action):
        return False
    known = {name.lower(): value for name, value in attributes.items()}
    return all(
        any(fnmatchcase(value, str(pattern)) for value in _values(known.get(name.lower())))
        for name, pattern in fault.match.items()
    )


class Faults:
    """The standing orders, and how often each has struck.

    ``request_level``: codes that reject a whole request for machines of several pools.
    """

    def __init__(self, request_level: Collection[str]) -> None:
        self._request_level = request_level
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._next = 1

    def add(self, order: dict[str, Any]) -> Fault:
        """Accept a fault as posted; ValueError names what is wrong with it."""
        known = {f for f in Fault.__dataclass_fields__ if f not in ("id", "struck")}
        unknown = sorted(set(order) - known)
        if unknown:
            raise ValueError(f"unknown keys in fault: {', '.join(unknown)}")
        if order.get("when", "before") not in ("before", "after"):
            raise ValueError("when is 'before' or 'after'")
        if not any(order.get(key) for key in ("error", "drop", "delay_s", "operation_s")):
            raise ValueError("a fault has an error, a delay_s, an operation_s or drop")
        with self._lock:
            fault = Fault(id=self._next, **order)
            self._next += 1
            self._faults.append(fault)
        return fault

    def _rejects_all(self, fault: Fault) -> bool:
        """Whether it rejects a whole request rather than one of its pools."""
        if fault.error is None:
            return fault.operation_s is None
        return fault.http is not None or fault.error in self._request_level

    def strike(
        self, action: str, attributes: dict[str, Any], when: str, pools: bool = False
    ) -> Fault | None:
        """The first fault that holds for this call, counted as struck; None when none does.

        ``pools`` says that the action takes faults pool by pool (see :meth:`pool_fault`): only
        those that reject a whole request strike here then.
        """
        with self._lock:
            for fault in self._faults:
                if fault.exhausted or fault.when != when:
                    continue
                if pools and not self._rejects_all(fault):
                    continue
                if matches(fault, action, attributes):
                    fault.struck += 1
                    return fault
        return None

    def strike_operation(
        self, action: str, attributes: dict[str, Any], *, errors: bool
    ) -> Fault | None:
        """The first fault that an operation suffers which this call begins, counted as struck.

        Without ``errors``, only how long it takes: its errors are those of its pools.
        """
        with self._lock:
            for fault in self._faults:
                if fault.exhausted or self._rejects_all(fault):
                    continue
                if fault.error is not None and not errors:
                    continue
                if matches(fault, action, attributes):
                    fault.struck += 1
                    return fault
        return None

    def pool_faults(self, action: str) -> list[Fault]:
        """The faults that may strike pools of one request; count them with :meth:`count`."""
        with self._lock:
            return [
                f
                for f in self._faults
                if not f.exhausted
                and f.error is not None
                and not self._rejects_all(f)
                and fnmatchcase(action, f.action)
            ]

    def count(self, faults: list[Fault]) -> None:
        """Count each as struck once: by one call, however many pools it took."""
        with self._lock:
            for fault in faults:
                fault.struck += 1

    def listing(self) -> list[dict[str, Any]]:
        """All that were posted, exhausted ones included."""
        with self._lock:
            return [asdict(f) for f in self._faults]

    def remove(self, number: int | None = None) -> None:
        """Remove one, or all."""
        with self._lock:
            self._faults = [f for f in self._faults if number is not None and f.id != number]
