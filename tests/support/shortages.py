"""Capacity that is not there, and what a client asked for meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from support.emulated import Emulator


def tidied(stub: Emulator) -> Iterator[Emulator]:
    """The stub; no fault and no machine is left to the next test."""
    yield stub
    for machine in stub.machines():
        stub.post(f"/_emulator/machines/{machine['id']}/kill")
    for fault in stub.get("/_emulator/faults"):
        stub.delete(f"/_emulator/faults/{fault['id']}")


def short(cloud: Emulator, **match: str) -> str:
    """No capacity for such machines until the fault with this id is gone."""
    fault = {
        "action": "CreateFleet",
        "match": match,
        "error": "InsufficientInstanceCapacity",
        "times": None,
    }
    return str(cloud.post("/_emulator/faults", fault)["id"])


def fleets(cloud: Emulator, since: int) -> list[dict[str, Any]]:
    """The fleets that were asked for after a call."""
    calls = cloud.get(f"/_emulator/calls?since={since}")
    return [call for call in calls if call["action"] == "CreateFleet"]


def latest(cloud: Emulator) -> int:
    """The last call."""
    return max((call["sequence"] for call in cloud.get("/_emulator/calls")), default=0)
