"""A local file that appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

from dstack_cloud.errors import ArtifactsError

T = TypeVar("T")


class WholeFile:
    """Takes bytes under another name in ``path``'s folder; ``path`` is there when all are.

    ArtifactsError when the local disk doesn't take them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        self._guard(lambda: self.path.parent.mkdir(parents=True, exist_ok=True))
        # Not the file's own name with a suffix: that may be too long.
        self.name = self.path.parent / f".dstack-{os.urandom(8).hex()}.part"
        self.file: BinaryIO = self._guard(lambda: self.name.open("xb"))
        return self

    def write(self, data: bytes) -> None:
        self._guard(lambda: self.file.write(data))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._guard(self.file.close)
            if kind is None:
                self._guard(lambda: self.name.replace(self.path))
        finally:
            self.name.unlink(missing_ok=True)

    def _guard(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except OSError as error:
            raise ArtifactsError(
                f"'{self.path}' cannot be written: {error.strerror}",
                "free some space, or choose another folder",
            ) from None
