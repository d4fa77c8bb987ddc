"""What every store does, and does the same way."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dstack_cloud.errors import ArtifactsError, InputError, NotFoundError
from dstack_cloud.storage.base import Store

ODD = ["a b", "ü", "a%20b", "a#1", "a?b", "a*b", "a+b&c=d", "[x]{y}^`|<>", "x'y\"z", "e\u0301"]


def keys(store: Store, prefix: str, after: str = "") -> list[str]:
    return [row.key for row in store.list(prefix, after)]


def test_what_is_put_is_got(store: Store) -> None:
    assert store.get("a/b") is None
    store.put("a/b", b"one")
    first = store.get("a/b")
    store.put("a/b", b"two")
    second = store.get("a/b")
    assert first is not None
    assert second is not None
    assert (first.data, second.data) == (b"one", b"two")
    assert first.version != second.version


def test_an_empty_object_is_there(store: Store) -> None:
    store.put("empty", b"")
    found = store.get("empty")
    assert found is not None
    assert found.data == b""
    assert [(row.key, row.size) for row in store.list("")] == [("empty", 0)]


def test_a_folder_is_no_object(store: Store) -> None:
    store.put("a/b/c", b"1")
    assert store.get("a/b") is None
    assert store.get("a/b/c/d") is None


def test_create_is_once(store: Store) -> None:
    assert store.create("k/1", b"mine") is True
    assert store.create("k/1", b"theirs") is False
    assert store.create("k/1", b"mine") is False
    found = store.get("k/1")
    assert found is not None
    assert found.data == b"mine"
    store.delete(["k/1"])
    assert store.create("k/1", b"again") is True


def test_replace_needs_the_version(store: Store) -> None:
    assert store.replace("k", b"x", "no-such-version") is False
    assert store.get("k") is None
    store.put("k", b"1")
    found = store.get("k")
    assert found is not None
    assert store.replace("k", b"2", found.version) is True
    assert store.replace("k", b"3", found.version) is False
    found = store.get("k")
    assert found is not None
    assert found.data == b"2"


def test_a_listing_is_in_order_and_by_text(store: Store) -> None:
    # '.' and '-' sort before '/', 'a0' after it.
    for key in ["a/b", "a.txt", "a-b/c", "a0", "a/b.c/d", "a/b/c/d", "b", "Z", "ü"]:
        if key != "a/b":  # a folder in a local store
            store.put(key, b"x")
    expected = sorted(["a.txt", "a-b/c", "a0", "a/b.c/d", "a/b/c/d", "b", "Z", "ü"])
    assert keys(store, "") == expected
    assert keys(store, "a") == ["a-b/c", "a.txt", "a/b.c/d", "a/b/c/d", "a0"]
    assert keys(store, "a/") == ["a/b.c/d", "a/b/c/d"]
    assert keys(store, "a/b") == ["a/b.c/d", "a/b/c/d"]
    assert keys(store, "a/b/") == ["a/b/c/d"]
    assert keys(store, "a/b/c/d") == ["a/b/c/d"]
    assert keys(store, "nothing/") == []


def test_a_listing_can_begin_after_a_key(store: Store) -> None:
    for i in range(12):
        store.put(f"log/{i:020d}", b"x")
    store.put("lof", b"")
    store.put("log0", b"")
    every = [f"log/{i:020d}" for i in range(12)]
    assert keys(store, "log/", every[4]) == every[5:]
    assert keys(store, "log/", f"log/{4:020d}x") == every[5:]
    assert keys(store, "log/", every[-1]) == []
    assert keys(store, "log/", "lofty") == every
    assert keys(store, "log/", "m") == []
    assert keys(store, "", every[-1]) == ["log0"]


def test_a_long_listing_is_complete_and_lazy(store: Store) -> None:
    for i in range(1203):
        store.put(f"many/{i:04d}", b"")
    assert keys(store, "many/") == [f"many/{i:04d}" for i in range(1203)]
    assert next(iter(store.list("many/", "many/1201"))).key == "many/1202"


def test_rows_tell_size_and_time(store: Store) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    store.put("x", b"12345")
    (row,) = store.list("x")
    assert row.size == 5
    assert before < row.modified < datetime.now(UTC) + timedelta(seconds=5)
    assert row.modified.tzinfo is not None


def test_delete_takes_many_and_what_is_not_there(store: Store) -> None:
    for i in range(5):
        store.put(f"d/{i}", b"")
    store.delete([f"d/{i}" for i in range(4)] + ["d/missing", "nowhere/at/all"])
    store.delete([])
    store.delete(iter(["gone"]))
    assert keys(store, "") == ["d/4"]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_survive(store: Store, name: str, tmp_path: Path) -> None:
    key = f"artifacts/run/{name}/{name}"
    store.put(key, b"odd")
    found = store.get(key)
    assert found is not None
    assert found.data == b"odd"
    assert keys(store, "artifacts/") == [key]
    assert keys(store, f"artifacts/run/{name}/") == [key]
    assert keys(store, "artifacts/", key) == []
    store.download(key, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"odd"
    store.delete([key])
    assert keys(store, "") == []


@pytest.mark.parametrize("size", [0, 1, (8 << 20) + 1, 20 << 20])
def test_files_go_up_and_come_down(store: Store, tmp_path: Path, size: int) -> None:
    source, target = tmp_path / "source", tmp_path / "new" / "folder" / "target"
    source.write_bytes(os.urandom(size))
    store.upload("f/x", source)
    store.download("f/x", target)
    assert target.read_bytes() == source.read_bytes()
    assert os.listdir(target.parent) == ["target"]
    (row,) = store.list("f/")
    assert row.size == size


def test_a_download_takes_the_place_of_what_was_there(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("old and longer")
    store.put("f", b"new")
    store.download("f", target)
    assert target.read_text() == "new"


def test_a_download_of_nothing_leaves_nothing(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "down"
    folder.mkdir()
    with pytest.raises(NotFoundError, match="missing"):
        store.download("missing", folder / "file")
    assert os.listdir(folder) == []


def test_a_folder_that_takes_no_file_is_told(store: Store, tmp_path: Path) -> None:
    store.put("f", b"x")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactsError, match="cannot be written"):
        store.download("f", tmp_path / "file" / "below")


def test_an_upload_of_nothing_is_told(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be"):
        store.upload("f", tmp_path / "missing")
    assert keys(store, "") == []
