"""The artifacts of a run: what there is, and down to a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock

from dstack_cloud.errors import ArtifactsError
from dstack_cloud.state import keys
from dstack_cloud.storage.base import Store

_AT_ONCE = 8


@dataclass(frozen=True)
class Artifact:
    """One file; ``path`` is relative to the run's working directory, ``size`` in bytes."""

    path: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class Progress:
    """How far a download is, or what it brought."""

    files: int
    bytes: int
    all_files: int
    all_bytes: int


def list_artifacts(store: Store, run: str, path: str = "") -> Iterator[Artifact]:
    """The run's artifacts (below ``path``, if given), in the order of their paths."""
    prefix = keys.artifacts(run)
    below = f"{prefix}{path.strip('/')}" if path.strip("/") else prefix
    for item in store.list(below):
        if below == prefix or item.key == below or item.key.startswith(f"{below}/"):
            yield Artifact(item.key[len(prefix) :], item.size, item.modified)


def download_artifacts(
    store: Store,
    run: str,
    folder: Path,
    *,
    path: str = "",
    progress: Callable[[Progress], None] | None = None,
) -> Progress:
    """The run's artifacts (below ``path``, if given) into ``folder``, several at a time.

    Every file is there whole or not at all. ``progress`` is called after each, by one thread at
    a time. ArtifactsError for a name that would lead out of the folder, before anything is
    written, and where the disk does not take a file.
    """
    artifacts = list(list_artifacts(store, run, path))
    root = folder.resolve()
    targets = {artifact: place(root, artifact.path) for artifact in artifacts}
    all_bytes = sum(artifact.size for artifact in artifacts)
    so_far = Progress(0, 0, len(artifacts), all_bytes)
    lock = Lock()

    def fetch(artifact: Artifact) -> None:
        nonlocal so_far
        store.download(f"{keys.artifacts(run)}{artifact.path}", targets[artifact])
        with lock:
            files, size = so_far.files + 1, so_far.bytes + artifact.size
            so_far = Progress(files, size, len(artifacts), all_bytes)
            if progress is not None:
                progress(so_far)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            jobs = [pool.submit(fetch, artifact) for artifact in artifacts]
            for job in wait(jobs, return_when=FIRST_EXCEPTION).done:
                job.result()
        finally:
            pool.shutdown(cancel_futures=True)
    return so_far


def place(root: Path, path: str) -> Path:
    """Where ``path`` goes below ``root`` (which is resolved).

    ArtifactsError if it would lead out: by its own dots, or by a link that is in the folder.
    """
    target = root / path
    inside = ".." not in Path(path).parts and not path.startswith("/") and "\0" not in path
    if not inside or not target.parent.resolve().is_relative_to(root):
        raise ArtifactsError(
            f"the artifact '{path}' would be written outside of '{root}'",
            "choose another folder, or get it with the cloud's own tools",
        )
    return target
