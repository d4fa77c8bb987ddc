"""Where an artifact is, on the machine and in the store, and which files it has. Pure but for
looking at the disk."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

MOUNT = "/workflow"


class Place(NamedTuple):
    """``base`` is a folder on the machine, ``name`` the artifact's path below it and below
    ``artifacts/<run>/`` in the store."""

    base: str
    name: str


class Found(NamedTuple):
    """A file: its path below the place's base, size in bytes, time of change in nanoseconds."""

    path: str
    size: int
    changed: int


def mount_target(working_dir: str) -> str:
    """What the working folder is called in the container (as the client's builder has it)."""
    inside = working_dir == MOUNT or working_dir.startswith(MOUNT + "/")
    return MOUNT if inside else working_dir


def place(path: str, working_dir: str, folder: str) -> Place:
    """Find an artifact. ``folder`` is the working folder on the machine.

    Raises ValueError, with words, for a path that is not in it.
    """
    target = posixpath.normpath(mount_target(working_dir))
    absolute = posixpath.normpath(posixpath.join(working_dir, path))
    if absolute != target and not absolute.startswith(target.rstrip("/") + "/"):
        raise ValueError(f"{path} is outside of {target}, which alone is kept")
    inside = posixpath.relpath(absolute, target)
    from_working_dir = posixpath.relpath(absolute, posixpath.normpath(working_dir))
    if from_working_dir == "." or from_working_dir.startswith(".."):
        return Place(folder, inside)
    below = posixpath.relpath(posixpath.normpath(working_dir), target)
    return Place(os.path.normpath(os.path.join(folder, below)), from_working_dir)


def files(where: Place, folder: str) -> Iterator[Found]:
    """All regular files of an artifact, one by one. Links are followed as long as they stay in the
    working folder; what is neither file nor folder is left out."""
    top = os.path.realpath(folder)
    yield from _walk(where.base, os.path.normpath(where.name), top, ())


def _walk(base: str, name: str, top: str, above: tuple[str, ...]) -> Iterator[Found]:
    path = os.path.join(base, name)
    real = os.path.realpath(path)
    if not inside(real, top):
        return
    try:
        found = os.stat(path)
    except OSError:
        # A link to nothing, or what went away meanwhile.
        return
    if stat.S_ISREG(found.st_mode):
        yield Found(name, found.st_size, found.st_mtime_ns)
    elif stat.S_ISDIR(found.st_mode) and real not in above:
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    below = entry.name if name == "." else os.path.join(name, entry.name)
                    if entry.is_symlink() or entry.is_dir(follow_symlinks=False):
                        yield from _walk(base, below, top, (*above, real))
                    elif entry.is_file(follow_symlinks=False):
                        yield from _walk_file(entry, below)
        except (FileNotFoundError, NotADirectoryError):
            return


def _walk_file(entry: os.DirEntry[str], name: str) -> Iterator[Found]:
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return
    yield Found(name, found.st_size, found.st_mtime_ns)


def inside(path: str, top: str) -> bool:
    """Whether ``path`` is ``top`` or below it."""
    return path == top or path.startswith(top.rstrip(os.sep) + os.sep)


def wanted(job: Mapping[str, Any], mounted_only: bool) -> list[str]:
    """The artifacts' paths, as the workflow has them, without repetitions."""
    found = [a["path"] for a in job["artifacts"] if a.get("mount") or not mounted_only]
    return list(dict.fromkeys(found))
