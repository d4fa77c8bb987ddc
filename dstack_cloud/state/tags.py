"""Tags: names for what a run left, or for local files, that stay when the run is deleted.

A tag holds no copy of a run's artifacts: it names their place, and as long as it does they are not
deleted. Files that were tagged have a place of their own.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from dstack_cloud.errors import InputError, NotFoundError
from dstack_cloud.nearest import did_you_mean
from dstack_cloud.state import documents, keys
from dstack_cloud.state.artifacts import list_artifacts
from dstack_cloud.state.sweep import delete_all
from dstack_cloud.storage.base import Store
from dstack_cloud.units import format_time, utc_now


@dataclass(frozen=True)
class Tag:
    """``source`` is the place of the files below ``artifacts/``: a run's name, or one that begins
    with ``:<tag>``.

    ``paths`` are the artifacts, relative to the working directory; ``files`` and ``bytes`` what
    there was when the tag was made. ``run`` and ``workflow`` are None for local files.
    """

    tag: str
    source: str
    paths: tuple[str, ...]
    files: int
    bytes: int
    created_at: str
    owner: str
    run: str | None = None
    workflow: str | None = None


def add_to_run(store: Store, name: str, run: str, record: Mapping[str, Any], owner: str) -> Tag:
    """Tag what a run left; ``record`` is the run's. InputError where the tag exists, NotFoundError
    for a run that left nothing or was deleted meanwhile."""
    _require_free(store, name)
    found = list(list_artifacts(store, run))
    if not found:
        raise NotFoundError(
            f"{run} has left no artifacts, so there is nothing to tag",
            f"dstack-cloud artifacts list {run} shows what is there",
        )
    tag = Tag(
        name,
        run,
        tuple(str(artifact["path"]) for artifact in record["artifacts"]),
        len(found),
        sum(file.size for file in found),
        format_time(utc_now()),
        owner,
        run,
        str(record["workflow"]),
    )
    _create(store, tag)
    # Whoever deletes a run takes its record away before reading the tags. So either it sees this
    # tag, or we see that the record is gone.
    if store.get(keys.run(run)) is None:
        store.delete([keys.tag(name)])
        raise NotFoundError(f"{run} was deleted meanwhile")
    return tag


def add_files(store: Store, name: str, paths: Sequence[Path], owner: str) -> Tag:
    """Tag local files and folders: each is stored under its own name.

    InputError where the tag exists, or two paths have one name; NotFoundError for a path that is
    not there. The tag appears when all is stored.
    """
    _require_free(store, name)
    files: list[tuple[str, Path]] = []
    tops: list[str] = []
    for path in paths:
        top = path.resolve().name
        if not path.exists():
            raise NotFoundError(f"there is no file or folder '{path}'")
        if not top or top in tops:
            raise InputError(f"'{path}' would be stored as '{top}', as another is")
        tops.append(top)
        inner = sorted(path.rglob("*")) if path.is_dir() else [path]
        files += [
            (f"{top}/{one.relative_to(path)}" if path.is_dir() else top, one)
            for one in inner
            if one.is_file()
        ]
    if not files:
        raise NotFoundError("there are no files in what was named")
    # A place of its own: somebody else may be making a tag of this name, too.
    source = f":{name}:{secrets.token_hex(4)}"
    documents.together(
        lambda file: store.upload(f"{keys.artifacts(source)}{file[0]}", file[1]), files
    )
    size = sum(path.stat().st_size for _, path in files)
    tag = Tag(name, source, tuple(tops), len(files), size, format_time(utc_now()), owner)
    try:
        _create(store, tag)
    except InputError:
        delete_all(store, keys.artifacts(source))
        raise
    # Now nothing else of this name has a meaning: what was begun, and never finished, goes.
    delete_all(store, f"artifacts/:{name}:", but=keys.artifacts(source))
    return tag


def find(store: Store, name: str) -> Tag | None:
    """The tag; None where there is none of that name (or none can have it)."""
    if keys.TAG_NAME.fullmatch(name) is None:
        return None
    document = documents.read(store, keys.tag(name))
    return None if document is None else _tag(document)


def read(store: Store, name: str) -> Tag:
    """The tag. NotFoundError, with names that are alike."""
    tag = find(store, name)
    if tag is None:
        raise not_found(name, names(store))
    return tag


def not_found(name: str, known: Sequence[str]) -> NotFoundError:
    """The error for a tag that is in no store."""
    return NotFoundError(
        f"there is no tag '{name}'{did_you_mean(name, known)}", "dstack-cloud tags list shows all"
    )


def names(store: Store) -> list[str]:
    """The names of all tags, sorted."""
    start = len(keys.tag())
    return [item.key[start:].removesuffix(".json") for item in store.list(keys.tag())]


def listing(store: Store) -> list[Tag]:
    """All tags, by name: one LIST, and a GET for each."""
    found = documents.together(lambda name: find(store, name), names(store))
    return [tag for tag in found if tag is not None]


def frees_files(store: Store, tag: Tag) -> bool:
    """Whether nothing else holds the tag's files: neither their run nor another tag."""
    if tag.run is None:
        return True
    if store.get(keys.run(tag.run)) is not None:
        return False
    return all(other.source != tag.source or other.tag == tag.tag for other in listing(store))


def delete(store: Store, tag: Tag) -> None:
    """Delete the tag, and its files where nothing else holds them. May be repeated."""
    frees = frees_files(store, tag)
    if frees:
        delete_all(store, keys.artifacts(tag.source))
    store.delete([keys.tag(tag.tag)])
    # Who deleted its run, or another tag, just now may have left the files to this one.
    if not frees and frees_files(store, tag):
        delete_all(store, keys.artifacts(tag.source))


def _require_free(store: Store, name: str) -> None:
    if keys.TAG_NAME.fullmatch(name) is None:
        raise InputError(f"'{name}' cannot be a tag", keys.TAG_NAME_WORDS)
    if find(store, name) is not None:
        raise _exists(name)


def _create(store: Store, tag: Tag) -> None:
    if not store.create(keys.tag(tag.tag), documents.encode(vars(tag))):
        raise _exists(tag.tag)


def _exists(name: str) -> InputError:
    return InputError(
        f"there is a tag '{name}' already",
        f"choose another name, or dstack-cloud tags delete {name}",
    )


def _tag(document: documents.Document) -> Tag:
    known = {item.name: document[item.name] for item in fields(Tag) if item.name in document}
    return Tag(**{**known, "paths": tuple(known["paths"])})
