"""A restore is given up where it stands still, not where it takes long."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from dstack_cloud.machine.agent import rclone, restore
from dstack_cloud.machine.agent.artifacts import Place
from dstack_cloud.machine.agent.control import Control
from dstack_cloud.machine.agent.errors import Failure
from dstack_cloud.machine.agent.paths import Paths
from dstack_cloud.machine.agent.rclone import Result
from dstack_cloud.machine.agent.restore import Restore
from dstack_cloud.machine.agent.s3 import S3Store
from dstack_cloud.machine.agent.store import Listed
from dstack_cloud.machine.agent.stored import Stored

FILES = 6


class Bucket(S3Store):
    """Far away: what it lists, without a wire."""

    def __init__(self) -> None: ...

    def get(self, key: str) -> bytes | None:
        return b'{"artifacts": [], "container_started_at": "2026-01-01T00:00:00Z"}'

    def each(self, prefix: str):  # type: ignore[no-untyped-def]
        return iter([Listed(f"{prefix}output/{number}", 1) for number in range(FILES)])

    def fingerprint(self, key: str) -> tuple[int, str] | None:
        return 1, "0" * 32


def restoring(folder: Path, monkeypatch: pytest.MonkeyPatch, files_a_run: int) -> Restore:
    """Each run of rclone takes ten minutes, brings so many files and ends with an error while any
    is left."""
    clock = SimpleNamespace(now=0.0)
    output = folder / "workflow" / "output"
    output.mkdir(parents=True)

    def run(*_: object) -> Result:
        clock.now += 600
        have = len(list(output.iterdir()))
        new = {str(number) for number in range(have, min(have + files_a_run, FILES))}
        for name in new:
            (output / name).write_text("x")
        left = FILES - have - len(new)
        return Result(new, "connection reset" if left else None)

    monkeypatch.setattr(rclone, "run", run)
    monkeypatch.setattr(restore, "time", SimpleNamespace(monotonic=lambda: clock.now))
    job = {
        "run": "train-7",
        "attempt": 2,
        "restore": True,
        "store": {"url": "s3://b", "region": "us-east-1"},
        "artifacts": [{"path": "output", "mount": True}],
    }
    paths = Paths(str(folder))
    control = Control()
    monkeypatch.setattr(control, "pause", lambda _: None)
    stored = Stored(str(folder / "sync" / "stored.db"))
    places = [Place(paths.workflow, "output")]
    return Restore(Bucket(), job, paths, control, places, stored, lambda _: None)


def test_one_that_gets_on_may_take_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    restoring(tmp_path, monkeypatch, files_a_run=1).run()
    assert len(list((tmp_path / "workflow" / "output").iterdir())) == FILES


def test_one_that_stands_still_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failure, match="could not be restored: connection reset"):
        restoring(tmp_path, monkeypatch, files_a_run=0).run()
