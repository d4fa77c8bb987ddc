"""What other runs leave comes to the container as it arrives in the store, from a bucket and from a
folder; who reads a file that grows has it open."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.agent_buckets import REGION, Bucket

from dstack_cloud.machine.agent.control import Control
from dstack_cloud.machine.agent.paths import Paths
from dstack_cloud.machine.agent.shown import Shown, overwrite, prepare
from dstack_cloud.machine.agent.status import Status
from dstack_cloud.machine.agent.store import FolderStore, Store

if TYPE_CHECKING:
    from conftest import Host

RUNS = ["train-1", "none-4"]
Looks = tuple[Callable[[], "str | None"], Path]


def shown(store: Store, folder: Path, access: dict[str, Any], control: Control) -> Looks:
    """One look at the store, and where what it found is shown."""
    paths = Paths(str(folder))
    folder.mkdir()
    job = {"run": "board-1", "store": access, "shown": {"runs": RUNS, "files": ["*tfevents*"]}}
    prepare(job, paths)
    return Shown(store, job, paths, control, Status(paths)).look, folder / "shown"


def put_in(bucket: Bucket | Path, key: str, data: bytes) -> None:
    if isinstance(bucket, Path):
        # As the store's own writers do it.
        half = bucket / "half"
        half.write_bytes(data)
        (bucket / key).parent.mkdir(parents=True, exist_ok=True)
        half.replace(bucket / key)
    else:
        bucket.put(f"p/{key}", data)


@pytest.fixture(params=["folder", "s3", "gcs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bucket | Path]:
    if request.param == "folder":
        (tmp_path / "store").mkdir()
        yield tmp_path / "store"
        return
    made: Bucket = request.getfixturevalue(f"{request.param}_factory")("shown-runs")
    patch = request.getfixturevalue("monkeypatch")
    for name in ("AWS_SESSION_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS"):
        patch.delenv(name, raising=False)
    for name, value in made.environment.items():
        patch.setenv(name, value)
    made.make()
    yield made
    made.delete()


def test_what_arrives_is_shown(place: Bucket | Path, tmp_path: Path) -> None:
    if isinstance(place, Path):
        store, access = FolderStore(str(place)), {"url": str(place)}
    else:
        url = f"{place.url}/p"
        access = {"url": url, "region": REGION, "endpoint": place.endpoint}
        store = place.agents(url)
    look, folder = shown(store, tmp_path / "root", access, Control())
    assert look() is None, "nothing is there yet, which is no error"
    assert sorted(os.listdir(folder)) == sorted(RUNS)

    first = "artifacts/train-1/output/deep/events.out.tfevents.1.host"
    put_in(place, first, b"one ")
    put_in(place, "artifacts/train-1/model.pt", b"not asked for")
    put_in(place, "artifacts/train-10/events.tfevents", b"another run's")
    assert look() is None
    [file] = [path for path in folder.rglob("*") if path.is_file()]
    assert file == folder / first.removeprefix("artifacts/")
    assert file.stat().st_mode & 0o777 == 0o644
    assert file.parent.stat().st_mode & 0o777 == 0o755

    with file.open("rb") as reader:
        assert reader.read() == b"one "
        put_in(place, first, b"one two")
        put_in(place, "artifacts/none-4/it came\u00fc.tfevents.2", b"later")
        assert look() is None
        assert reader.read() == b"two", "who has it open sees what came"
    assert (folder / "none-4/it came\u00fc.tfevents.2").read_bytes() == b"later"
    # Written anew, and shorter: as after a restart that began from nothing.
    put_in(place, first, b"new")
    assert look() is None
    assert file.read_bytes() == b"new"


def test_what_cannot_be_had_is_said(bucket: Bucket, tmp_path: Path) -> None:
    access = {"url": f"{bucket.url}-not/p", "region": REGION, "endpoint": bucket.endpoint}
    look, _ = shown(bucket.agents(access["url"]), tmp_path / "root", access, Control())
    error = look()
    assert error is not None
    assert error.startswith("what train-1 leaves cannot be shown: ")


@pytest.mark.parametrize(
    ("had", "comes"),
    [
        (b"", b""),
        (b"", b"abc"),
        (b"abc", b"abcdef"),
        (b"abc", b"abd and more"),
        (b"abcdef", b"abc"),
        (b"x" * 9000, b"x" * 9000 + b"y"),
        (b"x" * 9000, b"x" * 8999 + b"yz"),
        (b"abc", b""),
    ],
)
def test_one_is_written_over_the_other(tmp_path: Path, had: bytes, comes: bytes) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    target.write_bytes(had)
    source.write_bytes(comes)
    before = target.stat().st_ino
    overwrite(str(source), str(target))
    assert target.read_bytes() == comes
    assert target.stat().st_ino == before


def test_a_container_sees_it_and_cannot_change_it(host: Host) -> None:
    host.put("artifacts/train-6/a.tfevents", b"one ")
    host.start(
        "while ! test -s /runs/train-6/a.tfevents; do sleep 0.05; done",
        "if touch /runs/train-6/x 2>/dev/null; then echo changed; else echo kept; fi",
        "while ! test -s /runs/train-6/b.tfevents; do sleep 0.05; done",
        "cat /runs/train-6/*",
        shown_runs=["train-6"],
        argv=("--volume", "{root}/shown:/runs:ro"),
    )
    follower = host.follow()
    follower.until(lambda: b"kept" in follower.log)
    host.put("artifacts/train-6/b.tfevents", b"two\n")
    follower.rest()
    assert b"one two\n" in follower.log
    assert host.end().state == "done"
