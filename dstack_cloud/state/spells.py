"""How long spot machines of own runs lasted, and which the cloud took back: names of objects.

spells/<cloud>/<day>/<region>/<zone>/<machine>/<minutes>/<kept|taken>/<run>-<attempt>

Days count from 1970. The objects are empty, so that LISTs tell all; the day comes first, so that a
reader need not go through what is too old to matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from dstack_cloud.ranking import Spell
from dstack_cloud.state import keys
from dstack_cloud.storage.base import Store

_DAYS = 30
_WORDS = {True: "taken", False: "kept"}


def note(store: Store, cloud: str, spell: Spell, attempt: str, ended: datetime) -> None:
    """Tell later plans. ``attempt`` is ``<run>-<attempt>``: told twice, it counts once."""
    minutes = max(round(spell.hours * 60), 1)
    how = f"{_WORDS[spell.interrupted]}/{attempt}"
    store.put(keys.spell(cloud, _day(ended), spell.pool, minutes, how), b"")


def recent(store: Store, cloud: str, now: datetime) -> Iterator[Spell]:
    """The spells that ended in the last thirty days."""
    start = keys.spells(cloud)
    for item in store.list(start, f"{start}{_day(now) - _DAYS:06d}"):
        parts = item.key.removeprefix(start).split("/")
        if len(parts) == 7 and parts[4].isdigit():
            _, region, zone, machine, minutes, word, _ = parts
            yield Spell((region, zone, machine), int(minutes) / 60, word == _WORDS[True])


def _day(moment: datetime) -> int:
    return int(moment.timestamp() // 86400)
