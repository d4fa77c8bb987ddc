"""The user's code, from the store into the working directory."""

from __future__ import annotations

import os
import tarfile
import time

from .control import Control
from .errors import Failure, Interrupted, StoreError
from .paths import Paths
from .store import Store

_PATIENCE = 60.0


def fetch_code(store: Store, key: str | None, paths: Paths, control: Control) -> None:
    """Fetch and unpack, once. Raises Failure("setup"), or Interrupted."""
    os.makedirs(paths.workflow, exist_ok=True)
    # The container's user may be any: the folder is the container's, not ours.
    os.chmod(paths.workflow, 0o777)
    if key is None or os.path.exists(paths.unpacked):
        return
    archive = os.path.join(paths.root, "code.tar.gz")
    _fetch(store, key, archive, control)
    try:
        with tarfile.open(archive) as tar:
            unpack(tar, paths.workflow)
    except (OSError, tarfile.TarError, EOFError) as error:
        words = str(error)
        raise Failure(
            "disk" if "No space left" in words else "setup",
            f"the code could not be unpacked: {words}",
        ) from error
    os.unlink(archive)
    with open(paths.unpacked, "w"):
        pass


def _fetch(store: Store, key: str, archive: str, control: Control) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        if control.cause is not None:
            raise Interrupted
        try:
            if not store.fetch(key, archive):
                raise Failure("setup", f"the code is not in the store: {key}")
            return
        except StoreError as error:
            if not error.passing or time.monotonic() > end:
                raise Failure(
                    "setup",
                    f"the code could not be fetched: {error}",
                    "check that the machine's role may read the store",
                ) from error
        except OSError as error:
            raise Failure("disk", f"the code could not be written: {error}") from error
        control.pause(1.0)


def unpack(tar: tarfile.TarFile, folder: str) -> None:
    """Extract regular files, folders and links that stay inside; owners are not kept."""
    top = os.path.realpath(folder)
    for member in tar:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        target = os.path.realpath(os.path.join(top, member.name))
        if target != top and not target.startswith(top + os.sep):
            raise tarfile.ReadError(f"{member.name} lies outside of the archive")
        if member.issym() or member.islnk():
            base = top if member.islnk() else os.path.dirname(target)
            link = os.path.realpath(os.path.join(base, member.linkname))
            if link != top and not link.startswith(top + os.sep):
                raise tarfile.ReadError(f"{member.name} points outside of the archive")
        elif not (member.isreg() or member.isdir()):
            continue
        tar.extract(member, top, set_attrs=True)
