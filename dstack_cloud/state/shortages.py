"""Which machines were not to be had a while ago: told to later runs by the names of objects.

capacity/<cloud>/<region>/<zone>/<machine>/<spot|on-demand>/<until, seconds since 1970>

The objects are empty, so one LIST tells all. Who reads removes those whose time is over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dstack_cloud.state import keys
from dstack_cloud.state.documents import together
from dstack_cloud.storage.base import Store

_MARKETS = {True: "spot", False: "on-demand"}


@dataclass(frozen=True)
class Shortage:
    """A machine type in a zone that is not worth asking for before ``until``."""

    region: str
    zone: str
    machine: str
    spot: bool
    until: int


def remember(store: Store, cloud: str, shortages: Iterable[Shortage]) -> None:
    """Tell later runs."""
    names = {
        keys.shortage(cloud, one.region, one.zone, one.machine, _MARKETS[one.spot], one.until)
        for one in shortages
    }
    together(lambda key: store.put(key, b""), sorted(names))


def recall(store: Store, cloud: str, now: float) -> list[Shortage]:
    """What is not worth asking for at ``now`` (seconds since 1970)."""
    found, over = [], []
    start = keys.shortages(cloud)
    for item in store.list(start):
        shortage = _parsed(item.key.removeprefix(start))
        if shortage is not None and shortage.until > now:
            found.append(shortage)
        else:
            over.append(item.key)
    if over:
        store.delete(over)
    return found


def _parsed(name: str) -> Shortage | None:
    parts = name.split("/")
    if len(parts) != 5 or parts[3] not in _MARKETS.values() or not parts[4].isdigit():
        return None
    region, zone, machine, market, until = parts
    return Shortage(region, zone, machine, market == _MARKETS[True], int(until))
