"""What other runs left, and the workflow depends on, comes before the container starts.

It lies beside the working folder, and the container sees it read-only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from . import disk, rclone
from .artifacts import inside
from .control import Control
from .errors import Failure, Interrupted, StoreError
from .paths import Paths, write_json
from .store import FolderStore, Listed, Store

# Without an answer, or a file that arrives.
_PATIENCE = 300.0


def bring(
    store: Store,
    job: Mapping[str, Any],
    paths: Paths,
    control: Control,
    report: Callable[[int], None],
) -> None:
    """All dependencies, once. Raises Failure("restore"), ("setup") or ("disk"), or Interrupted.

    ``report`` is told the bytes that come.
    """
    if not job["deps"] or os.path.exists(paths.deps_came):
        return
    bases = [os.path.join(paths.deps, str(number)) for number in range(len(job["deps"]))]
    wanted = [_listed(store, one, base, control) for one, base in zip(job["deps"], bases)]
    missing = sum(
        listed.size
        for files in wanted
        for path, listed in files.items()
        if _size(path) != listed.size
    )
    report(missing)
    room = disk.free(paths)
    if missing > room:
        raise Failure(
            "disk",
            f"the dependencies have {missing} bytes, the disk has room for {room}",
            "ask for more with `disk` in the workflow's resources, such as disk: 200GB",
        )
    for one, base, files in zip(job["deps"], bases, wanted):
        if isinstance(store, FolderStore):
            _from_folder(store, files, control)
        else:
            _from_bucket(job, one, base, files, paths, control)
        for path, listed in files.items():
            if _size(path) != listed.size:
                raise _failed(one, f"{listed.key} came with another size")
        _open_up(base)
    write_json(paths.deps_came, {"bytes": missing})


def _listed(store: Store, one: Mapping[str, Any], base: str, control: Control) -> dict[str, Listed]:
    """The dependency's objects, by where each goes."""
    end = time.monotonic() + _PATIENCE
    while True:
        if control.cause is not None:
            raise Interrupted
        try:
            found = dict(_below(store, one, base))
            break
        except StoreError as error:
            if not error.passing or time.monotonic() > end:
                raise _failed(one, str(error)) from error
            control.pause(1.0)
    for path in one["paths"]:
        place = os.path.join(base, path)
        if not any(inside(file, place) for file in found):
            name = one["name"]
            raise Failure(
                "restore",
                f"the artifacts of '{name}' are gone: the store has nothing of '{path}' of "
                f"{one['source']}",
                f"dstack-cloud tags add {name[1:]} RUN tags others, under a free name"
                if name.startswith(":")
                else f"dstack-cloud run {name} makes them anew",
            )
    return found


def _below(store: Store, one: Mapping[str, Any], base: str) -> Iterator[tuple[str, Listed]]:
    prefix = f"artifacts/{one['source']}/"
    places = [os.path.join(base, path) for path in one["paths"]]
    for listed in store.each(prefix):
        name = listed.key[len(prefix) :]
        path = os.path.normpath(os.path.join(base, name))
        if not name.endswith("/") and any(inside(path, place) for place in places):
            yield path, listed


def _from_folder(store: FolderStore, files: Mapping[str, Listed], control: Control) -> None:
    for path, listed in files.items():
        if control.cause is not None:
            raise Interrupted
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            store.fetch(listed.key, path)
        except (OSError, StoreError) as error:
            raise Failure("setup", f"{listed.key} could not be brought in: {error}") from error


def _from_bucket(
    job: Mapping[str, Any],
    one: Mapping[str, Any],
    base: str,
    files: Mapping[str, Listed],
    paths: Paths,
    control: Control,
) -> None:
    """rclone holds each file that it brings against the object's checksum."""
    os.makedirs(paths.sync, exist_ok=True)
    listing = os.path.join(paths.sync, "deps.files")
    with open(listing, "wb") as file:
        file.writelines(os.fsencode(os.path.relpath(path, base)) + b"\n" for path in files)
    argv = rclone.down_argv(job, base, listing, one["source"])
    log = os.path.join(paths.sync, "deps.log")
    most, end = -1, 0.0
    while True:
        result = rclone.run(argv, job, log, lambda: control.cause is not None)
        if result.stopped:
            raise Interrupted
        if result.error is None:
            return
        if "no space left" in result.error.lower():
            raise Failure("disk", f"the dependencies do not fit: {result.error}")
        there = sum(_size(path) == listed.size for path, listed in files.items())
        if there > most:
            most, end = there, time.monotonic() + _PATIENCE
        if rclone.refused(result.error) or time.monotonic() > end:
            raise _failed(one, result.error)
        control.pause(2.0)


def _open_up(base: str) -> None:
    """The container's user may be any: all may read."""
    for folder, _, names in os.walk(base):
        os.chmod(folder, 0o755)
        for name in names:
            path = os.path.join(folder, name)
            os.chmod(path, os.stat(path).st_mode & 0o777 | 0o444)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _failed(one: Mapping[str, Any], words: str) -> Failure:
    return Failure(
        "setup",
        f"the artifacts of '{one['name']}' could not be brought in: {words}",
        f"dstack-cloud artifacts list {one['source']} shows what is there",
    )
