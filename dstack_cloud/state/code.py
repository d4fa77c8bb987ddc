"""The user's code: packed the same way every time, and stored once per content."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dstack_cloud.errors import InputError
from dstack_cloud.state import keys
from dstack_cloud.state.worktree import code_files
from dstack_cloud.storage.base import Store
from dstack_cloud.units import MIB, format_size

MOST = 100 * MIB
# Source text shrinks to a quarter at any level; the higher ones only take longer.
_LEVEL = 3
# The same content must give the same bytes, so no file's own time goes in (this is 1980, the
# earliest that every unpacker accepts without a word).
_TIME = 315532800
# Below this, sending it costs less than asking first whether it is there.
_SMALL = MIB
_NAMED = 5
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Code:
    """A packed worktree. ``size`` is bytes as packed; ``left_out`` are links that lead out of
    the folder, and files that are neither file nor link."""

    key: str
    size: int
    files: int
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Entry:
    path: str
    size: int
    mode: int
    link: str | None


def store_code(store: Store, root: Path, *, most: int = MOST) -> Code:
    """Pack the code below ``root`` and store it unless that very content is there.

    InputError when it is more than ``most`` bytes before packing, naming the largest files.
    """
    with _scratch() as (file, path):
        code = pack(root, file, most=most)
        if code.size <= _SMALL:
            file.seek(0)
            store.create(code.key, file.read())
        elif not any(item.key == code.key for item in store.list(code.key)):
            file.flush()
            store.upload(code.key, path)
    return code


@contextmanager
def _scratch() -> Iterator[tuple[IO[bytes], Path]]:
    """A temporary file and a path to read it by. Where the system can open a file that has no
    name any more, it has none, so that nothing of it is left behind by a client that is killed."""
    with tempfile.NamedTemporaryFile(prefix="dstack-code-", delete=False) as file:
        named = Path(file.name)
        nameless = Path(f"/proc/self/fd/{file.fileno()}")
        try:
            if nameless.exists():
                named.unlink()
                yield file, nameless
            else:
                yield file, named
        finally:
            named.unlink(missing_ok=True)


def pack(root: Path, file: IO[bytes], *, most: int = MOST) -> Code:
    """Write the code below ``root`` into ``file`` as tar.gz: equal content, equal bytes."""
    entries, left_out = _entries(root)
    _check_size(entries, most)
    with (
        gzip.GzipFile(
            filename="", fileobj=file, mode="wb", compresslevel=_LEVEL, mtime=0
        ) as zipped,
        tarfile.open(fileobj=zipped, mode="w|", format=tarfile.GNU_FORMAT) as archive,
    ):
        count = sum(_add(archive, root, entry) for entry in entries)
    size = file.tell()
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return Code(keys.code(digest.hexdigest()), size, count, tuple(left_out))


def _entries(root: Path) -> tuple[list[_Entry], list[str]]:
    entries, left_out = [], []
    inside = root.resolve()
    for path in code_files(root):
        try:
            status = os.lstat(root / path)
        except FileNotFoundError:  # deleted since it was listed
            continue
        if stat.S_ISLNK(status.st_mode):
            link = _link(root / path, inside)
            if link is None:
                left_out.append(path)
                continue
            entries.append(_Entry(path, 0, 0o777, link))
        else:
            mode = 0o755 if status.st_mode & 0o100 else 0o644
            entries.append(_Entry(path, status.st_size, mode, None))
    return entries, left_out


def _link(link: Path, root: Path) -> str | None:
    """Where the link leads, relative to itself; None if that is not below ``root``."""
    to = os.readlink(link)
    target = Path(os.path.normpath(link.parent.resolve() / to))
    if not (target.is_relative_to(root) and target.resolve().is_relative_to(root)):
        return None
    return os.path.relpath(target, link.parent.resolve()) if os.path.isabs(to) else to


def _check_size(entries: list[_Entry], most: int) -> None:
    size = sum(entry.size for entry in entries)
    if size <= most:
        return
    largest = sorted(entries, key=lambda entry: -entry.size)[:_NAMED]
    named = ", ".join(f"{entry.path} ({format_size(entry.size)})" for entry in largest)
    raise InputError(
        f"the code has {format_size(size)}, more than {format_size(most)}; the largest: {named}",
        "name in .gitignore what the run does not need; keep data in the bucket",
    )


def _add(archive: tarfile.TarFile, root: Path, entry: _Entry) -> bool:
    member = tarfile.TarInfo(entry.path)
    member.mtime = _TIME
    member.mode = entry.mode
    if entry.link is not None:
        member.type = tarfile.SYMTYPE
        member.linkname = entry.link
        archive.addfile(member)
        return True
    try:
        with open(root / entry.path, "rb") as file:
            # Its size as it is now: it may have grown since it was listed.
            member.size = os.fstat(file.fileno()).st_size
            archive.addfile(member, file)
    except FileNotFoundError:  # deleted since it was listed
        return False
    except PermissionError:
        raise InputError(
            "this file of the code cannot be read",
            "correct its permissions, or name it in .gitignore",
            file=entry.path,
        ) from None
    except OSError as error:
        if "unexpected end of data" not in str(error):
            raise
        raise InputError(
            "this file of the code was changed while it was packed", "try again", file=entry.path
        ) from None
    return True
