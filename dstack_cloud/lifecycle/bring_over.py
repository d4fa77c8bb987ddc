"""Dependencies that lie in another cloud's store come over before anything is launched.

A machine of one cloud has no way into the other's bucket: whoever starts the run has, and carries
them from store to store.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from dstack_cloud import transfer
from dstack_cloud.lifecycle.dependencies import Dependency, Located
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.state import copies
from dstack_cloud.storage.base import Store
from dstack_cloud.transfer import Place
from dstack_cloud.units import format_size


def bring_over(
    tools: Tools,
    needed: Sequence[Located],
    store_of: Callable[[str], Store],
    place_of: Callable[[str], Place],
) -> tuple[tuple[Dependency, ...], Decimal | None]:
    """What a run depends on, all of it in the store of its own cloud, and what carrying it there
    has cost in USD (None where not known). What came over before does not come again."""
    found: list[Dependency] = []
    costs: list[Decimal | None] = []
    for one in needed:
        if one.cloud == tools.cloud.name:
            found.append(one.dependency)
            continue
        dependency = one.dependency
        size = _carry(tools, store_of(one.cloud), one)
        costs.append(transfer.cost(size, transfer.price(place_of(one.cloud), None)))
        found.append(replace(dependency, source=copies.copied_source(one.cloud, dependency.source)))
    cost = None if None in costs else sum(filter(None, costs), Decimal(0))
    return tuple(found), cost


def _carry(tools: Tools, there: Store, one: Located) -> int:
    begun, done, lock = time.monotonic(), 0, threading.Lock()
    source, paths = one.dependency.source, one.dependency.paths
    files = copies.missing(there, tools.store, one.cloud, source, paths)
    size = sum(file.size for file in files)

    def told(bytes_: int) -> None:
        nonlocal done
        with lock:
            done += bytes_
            words = f"{one.dependency.name}: {format_size(done)} of {format_size(size)}"
            tools.report.working("dependencies", words)

    copies.carry_over(there, tools.store, one.cloud, source, files, told)
    words = f"{one.dependency.name}: {format_size(size)} from {one.cloud}'s store"
    tools.report.done("dependencies", words, time.monotonic() - begun)
    return size
