"""How long a spot machine lasted, told to later plans once its attempt has ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dstack_cloud.clouds.base import Machine
from dstack_cloud.errors import DstackError
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.ranking import Spell
from dstack_cloud.state import spells
from dstack_cloud.units import parse_time

TAKEN = ("interrupted", "machine-lost")
"""How an attempt ends whose machine was taken away."""


def spell_of(machine: Machine, end: Mapping[str, Any]) -> Spell | None:
    """A spot machine's spell by how its attempt ended; None for any other machine."""
    if not machine.spot or machine.zone is None or machine.launched_at is None:
        return None
    lasted = parse_time(str(end["ended_at"])) - machine.launched_at
    pool = (machine.region, machine.zone, machine.machine)
    return Spell(pool, max(lasted.total_seconds(), 0) / 3600, end["reason"] in TAKEN)


def note_lasted(
    tools: Tools, machine: Machine, run: str, attempt: int, end: Mapping[str, Any]
) -> None:
    """Put it where later plans look. Nothing but their ranking is lost where that fails."""
    spell = spell_of(machine, end)
    if spell is None:
        return
    ended = parse_time(str(end["ended_at"]))
    try:
        spells.note(tools.store, tools.cloud.name, spell, f"{run}-{attempt}", ended)
    except DstackError as error:
        tools.report.warn("store", f"how long the machine lasted was not noted: {error.message}")
