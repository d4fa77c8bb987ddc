from __future__ import annotations

import os
from pathlib import Path

import pytest

from dstack_cloud.errors import ArtifactsError, NotFoundError
from dstack_cloud.state.artifacts import Progress, download_artifacts, list_artifacts, place
from dstack_cloud.storage.local import LocalStore

RUN = "train-1"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path / "store")
    for i in range(30):
        store.put(f"artifacts/{RUN}/output/{i % 3}/{i}.txt", b"x" * i)
    store.put(f"artifacts/{RUN}/output.txt", b"beside")
    store.put("artifacts/train-10/other", b"")
    return store


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_list_is_the_runs_own(store: LocalStore) -> None:
    found = list(list_artifacts(store, RUN))
    assert len(found) == 31
    assert found[0].path == "output.txt"
    assert [item.path for item in list_artifacts(store, "train-10")] == ["other"]
    assert len(list(list_artifacts(store, RUN, "output/"))) == 30
    assert [item.path for item in list_artifacts(store, RUN, "output.txt")] == ["output.txt"]


def test_all_come_down_and_progress_is_told(store: LocalStore, tmp_path: Path) -> None:
    seen: list[Progress] = []
    done = download_artifacts(store, RUN, tmp_path / "down", progress=seen.append)
    size = sum(range(30)) + len("beside")
    assert done == Progress(31, size, 31, size)
    assert [item.files for item in seen] == list(range(1, 32))
    assert len(files(tmp_path / "down")) == 31
    assert (tmp_path / "down/output/2/29.txt").read_bytes() == b"x" * 29


def test_a_part_comes_down(store: LocalStore, tmp_path: Path) -> None:
    download_artifacts(store, RUN, tmp_path / "down", path="output/1")
    assert len(files(tmp_path / "down")) == 10


def test_no_artifacts_is_no_error(store: LocalStore, tmp_path: Path) -> None:
    assert download_artifacts(store, "train-2", tmp_path / "down") == Progress(0, 0, 0, 0)


class LeadingOut(LocalStore):
    """Holds a name that no file system would make."""

    def list(self, prefix, after=""):  # type: ignore[no-untyped-def]
        for item in super().list(prefix, after):
            yield item
        yield type(item)(f"artifacts/{RUN}/../../evil", 1, item.modified)


def test_a_name_that_leads_out_stops_all_before_anything_is_written(
    store: LocalStore, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactsError, match=r"\.\./\.\./evil"):
        download_artifacts(LeadingOut(store.root), RUN, tmp_path / "a" / "down")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "a/..", "..", "nul\0"])
def test_dots_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ArtifactsError):
        place(tmp_path.resolve(), path)


def test_a_link_in_the_folder_is_not_followed_out(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "down").mkdir()
    (tmp_path / "down" / "output").symlink_to(tmp_path / "outside")
    with pytest.raises(ArtifactsError, match="outside of"):
        download_artifacts(store, RUN, tmp_path / "down")
    assert files(tmp_path / "outside") == []
    assert place((tmp_path / "down").resolve(), "...dots..").name == "...dots.."


def test_one_that_fails_stops_the_rest_and_leaves_no_part(
    store: LocalStore, tmp_path: Path
) -> None:
    folder = tmp_path / "down"
    (folder / "output" / "1" / "13.txt").mkdir(parents=True)
    with pytest.raises(ArtifactsError, match=r"13\.txt"):
        download_artifacts(store, RUN, folder)
    left = files(folder)
    assert not [name for name in left if "part" in name]
    for name in left:
        assert os.path.getsize(folder / name) == (
            len("beside") if name == "output.txt" else int(Path(name).stem)
        )


def test_one_that_vanished_is_told(store: LocalStore, tmp_path: Path) -> None:
    class Vanishing(LocalStore):
        def download(self, key: str, path: Path) -> None:
            self.delete([key])
            super().download(key, path)

    with pytest.raises(NotFoundError):
        download_artifacts(Vanishing(store.root), RUN, tmp_path / "down")
