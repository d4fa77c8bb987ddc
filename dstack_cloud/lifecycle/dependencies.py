"""From what a workflow depends on to the files that its container gets: asks the store."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dstack_cloud.errors import NotFoundError
from dstack_cloud.nearest import did_you_mean
from dstack_cloud.spec import WORKING_DIR
from dstack_cloud.state import runs, tags
from dstack_cloud.state.artifacts import list_artifacts
from dstack_cloud.state.runs import RunState
from dstack_cloud.state.tags import Tag
from dstack_cloud.storage.base import Store
from dstack_cloud.workflow.dependencies import require_apart
from dstack_cloud.workflow.workflow import Workflow


@dataclass(frozen=True)
class Dependency:
    """``name`` as the workflow has it; ``source`` is where the files are below ``artifacts/``;
    ``paths`` are the artifacts there, relative to the working directory."""

    name: str
    source: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Located:
    """A dependency, the cloud whose store has it, and its bytes."""

    dependency: Dependency
    cloud: str
    size: int


def latest_run(store: Store, workflow: str) -> str | None:
    """A workflow's latest successful run, by its number."""
    done = runs.listing(store, [RunState.DONE])
    found = [row for row in done if row.workflow == workflow]
    return max(found, key=lambda row: row.number).run if found else None


def resolve(store: Store, workflow: Workflow, known: Sequence[str]) -> tuple[Dependency, ...]:
    """What the workflow's dependencies are at this moment. ``known`` are the file's workflows.

    NotFoundError, at the place in the file, for one that has nothing to bring, with the command
    that makes it; InputError where two would lie at the same place.
    """
    found = resolve_each(store, workflow, known)
    for one in found:
        if isinstance(one, NotFoundError):
            raise one
    there = tuple(one for one in found if isinstance(one, Dependency))
    require_apart(workflow, [(one.name, one.paths) for one in there])
    return there


def resolve_each(
    store: Store, workflow: Workflow, known: Sequence[str]
) -> list[Dependency | NotFoundError]:
    """For each of the workflow's dependencies what it is in this store, or why it is not there."""
    found: list[Dependency | NotFoundError] = []
    for index, name in enumerate(workflow.dependencies):
        try:
            found.append(_resolved(store, workflow, index, name, known))
        except NotFoundError as error:
            found.append(error)
    return found


def require_possible(
    stores: Sequence[Store], workflows: Mapping[str, Workflow], names: Sequence[str]
) -> None:
    """Before the first of these workflows is run, of which each may need the ones before it: what
    no run of them brings about must be there, in one of the stores.

    NotFoundError, at the place in the file, for a tag that is missing, and for a workflow that has
    no successful run and is not in the file, or keeps no artifacts.
    """
    for workflow in (workflows[name] for name in names if name in workflows):
        for index, needed in enumerate(workflow.dependencies):
            if needed.startswith(":"):
                if all(tags.find(store, needed[1:]) is None for store in stores):
                    raise _no_tag(stores[0], workflow, index, needed)
            elif needed in names and needed not in workflows:
                raise _no_run(workflow, index, needed, list(workflows))
            elif needed in names and not workflows[needed].artifacts:
                raise _keeps_nothing(workflow, index, needed)


def size_of(store: Store, dependency: Dependency) -> int:
    """The bytes that come with it."""
    return sum(
        item.size
        for path in dependency.paths
        for item in list_artifacts(store, dependency.source, "" if path == "." else path)
    )


def _resolved(
    store: Store, workflow: Workflow, index: int, name: str, known: Sequence[str]
) -> Dependency:
    if name.startswith(":"):
        tag = _tagged(store, workflow, index, name)
        return Dependency(name, tag.source, tag.paths)
    run = latest_run(store, name)
    if run is None:
        raise _no_run(workflow, index, name, known)
    record = runs.read_run(store, run)
    paths = tuple(stored_path(record, str(one["path"])) for one in record["artifacts"])
    if not paths:
        raise _keeps_nothing(workflow, index, name)
    return Dependency(name, run, paths)


def _tagged(store: Store, workflow: Workflow, index: int, name: str) -> Tag:
    tag = tags.find(store, name[1:])
    if tag is None:
        raise _no_tag(store, workflow, index, name)
    return tag


def _no_tag(store: Store, workflow: Workflow, index: int, name: str) -> NotFoundError:
    guess = did_you_mean(name[1:], tags.names(store))
    hint = f"dstack-cloud tags add {name[1:]} RUN makes it"
    return _missing(workflow, index, f"there is no tag '{name[1:]}'{guess}", hint)


def _no_run(workflow: Workflow, index: int, name: str, known: Sequence[str]) -> NotFoundError:
    words = f"no run of '{name}' has been successful"
    if name not in known:
        return _missing(
            workflow,
            index,
            f"{words}, and no workflow here has that name{did_you_mean(name, known)}",
            "write that workflow, or leave out the dependency",
        )
    hint = f"dstack-cloud run {name} makes one; run --with-deps does that first"
    return _missing(workflow, index, words, hint)


def _keeps_nothing(workflow: Workflow, index: int, name: str) -> NotFoundError:
    hint = f"give '{name}' artifacts, or leave out the dependency"
    return _missing(workflow, index, f"'{name}' keeps no artifacts", hint)


def stored_path(record: dict[str, Any], path: str) -> str:
    """Where an artifact of a run is below ``artifacts/<run>/``: relative to the run's working
    directory, or to the folder that is mounted where it lies outside of that."""
    working_dir = posixpath.normpath(record["container"]["working_dir"])
    absolute = posixpath.normpath(posixpath.join(working_dir, path))
    below = posixpath.relpath(absolute, working_dir)
    return posixpath.relpath(absolute, WORKING_DIR) if below.startswith("..") else below


def _missing(workflow: Workflow, index: int, message: str, hint: str) -> NotFoundError:
    place = workflow.error_at(f"deps.{index}", message)
    return NotFoundError(message, hint, file=place.file, line=place.line, column=place.column)
