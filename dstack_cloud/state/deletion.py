"""Deleting a run: its record, its log, and its artifacts unless a tag holds them."""

from __future__ import annotations

from dataclasses import dataclass

from dstack_cloud.errors import InputError
from dstack_cloud.state import keys, tags
from dstack_cloud.state.runs import DELETED, RunState, find_run, listing
from dstack_cloud.state.sweep import delete_all
from dstack_cloud.storage.base import Store


@dataclass(frozen=True)
class Deleted:
    """``objects`` were deleted; ``held_by`` are the tags for which the artifacts stay."""

    run: str
    objects: int
    held_by: tuple[str, ...]


def holders(store: Store, run: str) -> tuple[str, ...]:
    """The tags that hold the run's artifacts."""
    return tuple(tag.tag for tag in tags.listing(store) if tag.source == run)


def require_ended(store: Store, run: str) -> None:
    """NotFoundError where there is no such run, InputError where it has not ended."""
    row = find_run(store, run)
    if not row.state.final:
        raise InputError(
            f"{run} is {row.state}, and only what has ended can be deleted",
            f"dstack-cloud stop {run} ends it",
        )


def require_unneeded(store: Store, source: str, name: str) -> None:
    """InputError where a run that has not ended brings in the artifacts at ``source``: its next
    attempt would look for them, if not this one. ``name`` is for words."""
    for row in listing(store, records=True):
        deps = row.record.get("deps", ()) if row.record is not None else ()
        if not row.state.final and any(one["source"] == source for one in deps):
            raise InputError(
                f"{row.run}, which is {row.state}, depends on {name}",
                f"wait for its end, or dstack-cloud stop {row.run} ends it",
            )


def delete_run(store: Store, run: str) -> Deleted:
    """Delete a run that has ended. May be repeated after it was cut off.

    NotFoundError, InputError as `require_ended`. The name is not given to another run: what still
    names it, such as a tag or somebody's notes, must not mean something else one day.
    """
    require_ended(store, run)
    store.put(keys.index(DELETED, run), b"")
    # Before the tags are read: see `tags.add_to_run`.
    store.delete([keys.run(run)])
    held_by = holders(store, run)
    count = 1 if held_by else 1 + delete_all(store, keys.artifacts(run))
    count += delete_all(store, keys.runs(run))
    # Last: as long as the run is in the index, it can be deleted again.
    store.delete([keys.index(state, run) for state in RunState])
    return Deleted(run, count, held_by)
