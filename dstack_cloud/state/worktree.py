"""Which files are the user's code: what git tracks or would, else what .gitignore files leave."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec


def code_files(root: Path) -> list[str]:
    """Files and links below ``root``, relative, sorted; never ``.git``.

    With git: tracked ones that still exist, and untracked ones that are not ignored, of
    submodules and nested repositories too. Without git, or in a folder that git ignores
    altogether: all that the .gitignore files on the way don't name.
    """
    listed = _git_files(root)
    found = _expanded(root, listed) if listed is not None else _walk(root)
    return sorted(set(found))


def _expanded(root: Path, listed: list[str]) -> Iterator[str]:
    for path in listed:
        full = root / path
        # Git names a submodule, or a repository within, by its folder alone.
        if full.is_dir() and not full.is_symlink():
            yield from (f"{path.rstrip('/')}/{inner}" for inner in code_files(full))
        elif full.is_symlink() or full.is_file():
            yield path


def _git_files(root: Path) -> list[str] | None:
    """What git lists, or None where it has no say."""
    output = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if output is None:
        return None
    if not output and _git(root, "check-ignore", "-q", ".") is not None:
        return None
    return [os.fsdecode(path) for path in output.split(b"\0") if path]


def _git(root: Path, *args: str) -> bytes | None:
    try:
        # Variables of a surrounding git command (a hook, say) would name another repository.
        environ = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        done = subprocess.run(
            ["git", "-C", str(root), *args],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environ,
            check=False,
        )
    except OSError:  # no git on this machine
        return None
    return done.stdout if done.returncode == 0 else None


def _walk(root: Path) -> Iterator[str]:
    from pathspec import GitIgnoreSpec

    def visit(folder: str, specs: list[tuple[str, GitIgnoreSpec]]) -> Iterator[str]:
        lines = _ignore_lines(root / folder / ".gitignore")
        if lines:
            specs = [*specs, (folder, GitIgnoreSpec.from_lines(lines))]
        with os.scandir(root / folder) as entries:
            for entry in entries:
                path = f"{folder}{entry.name}"
                is_folder = entry.is_dir(follow_symlinks=False)
                if entry.name == ".git" or _ignored(f"{path}/" if is_folder else path, specs):
                    continue
                if is_folder:
                    yield from visit(f"{path}/", specs)
                elif entry.is_symlink() or entry.is_file():
                    yield path

    return visit("", [])


def _ignore_lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []


def _ignored(path: str, specs: list[tuple[str, GitIgnoreSpec]]) -> bool:
    # The deepest file that says anything about the path decides.
    for folder, spec in reversed(specs):
        include = spec.check_file(path[len(folder) :]).include
        if include is not None:
            return include
    return False
