"""What was brought over from another cloud's store: copies, that later runs find there.

artifacts/<cloud>:<source>/<path>            as in that cloud's store
copies/<cloud>/<source>                      empty; its time is when it was last wanted
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from dstack_cloud.errors import InputError
from dstack_cloud.state import keys
from dstack_cloud.state.artifacts import Artifact, list_artifacts
from dstack_cloud.state.deletion import require_unneeded
from dstack_cloud.state.documents import together
from dstack_cloud.state.sweep import delete_all
from dstack_cloud.storage.base import Store

KEPT = timedelta(days=30)
"""How long a copy stays that nobody wants any more."""


def copied_source(cloud: str, source: str) -> str:
    """Where a source of another cloud's store is, below ``artifacts/`` of this one."""
    return f"{cloud}:{source}"


def missing(
    there: Store, here: Store, cloud: str, source: str, paths: Sequence[str]
) -> list[Artifact]:
    """What of a source must be carried over: what is not here, or older than it is there."""
    known = {one.path: one for one in list_artifacts(here, copied_source(cloud, source))}
    wanted = {
        one.path: one
        for path in paths
        for one in list_artifacts(there, source, "" if path == "." else path)
    }
    return [
        one
        for path, one in wanted.items()
        if path not in known or known[path].size != one.size or known[path].modified < one.modified
    ]


def carry_over(
    there: Store,
    here: Store,
    cloud: str,
    source: str,
    files: Sequence[Artifact],
    told: Callable[[int], None],
) -> None:
    """Carry files over by way of this machine's disk, some at a time; ``told`` gets the bytes of
    each. It may be cut off and done again. Raises what the stores raise."""
    here.put(keys.copy(cloud, source), b"")
    with tempfile.TemporaryDirectory(prefix="dstack-copy-") as folder:

        def carry(numbered: tuple[int, Artifact]) -> None:
            number, file = numbered
            path = Path(folder) / str(number)
            there.download(f"{keys.artifacts(source)}{file.path}", path)
            here.upload(f"{keys.artifacts(copied_source(cloud, source))}{file.path}", path)
            path.unlink()
            told(file.size)

        together(carry, enumerate(files))


def forget_old(store: Store, now: datetime) -> int:
    """Delete the copies that nobody has wanted for `KEPT`, and that no live run may bring in again;
    answers how many objects that were."""
    start, count = keys.copies(), 0
    for mark in list(store.list(start)):
        cloud, _, source = mark.key.removeprefix(start).partition("/")
        if now - mark.modified <= KEPT:
            continue
        try:
            require_unneeded(store, copied_source(cloud, source), source)
        except InputError:
            continue
        count += delete_all(store, keys.artifacts(copied_source(cloud, source)))
        store.delete([mark.key])
    return count
