from __future__ import annotations

from pathlib import Path

import pytest

from dstack_cloud.errors import InputError, NotFoundError
from dstack_cloud.state import runs, tags
from dstack_cloud.state.artifacts import list_artifacts
from dstack_cloud.state.deletion import delete_run, require_unneeded
from dstack_cloud.state.runs import RunState
from dstack_cloud.storage.local import LocalStore

RECORD = {"workflow": "train", "artifacts": [{"path": "output", "mount": False}]}


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def ended(store: LocalStore) -> str:
    """A run that is done, with a log and an artifact."""
    run = runs.submit(store, "train", lambda name: RECORD)
    store.put(f"artifacts/{run}/output/model.txt", b"model")
    store.put(f"runs/{run}/attempts/1/log/{0:020d}", b"a line\n")
    runs.settle(store, run, RunState.DONE)
    return run


def left(store: LocalStore) -> list[str]:
    return sorted(item.key for item in store.list(""))


def test_a_deleted_run_leaves_its_name_alone(store: LocalStore) -> None:
    first, second = ended(store), ended(store)
    done = delete_run(store, second)
    assert (done.run, done.held_by) == (second, ())
    assert [key for key in left(store) if second in key] == [f"index/deleted/{second}"]
    assert [row.run for row in runs.listing(store)] == [first]
    with pytest.raises(NotFoundError):
        runs.find_run(store, second)
    assert ended(store) == "train-3", "a name means one run, for ever"


def test_a_tag_outlives_its_run_and_frees_its_files_at_its_own_end(store: LocalStore) -> None:
    run = ended(store)
    one = tags.add_to_run(store, "best", run, RECORD, "ada")
    two = tags.add_to_run(store, "good", run, RECORD, "ada")
    assert (one.source, one.paths, one.files, one.bytes) == (run, ("output",), 1, 5)
    assert not tags.frees_files(store, one)
    assert delete_run(store, run).held_by == ("best", "good")
    tags.delete(store, one)
    assert tags.read(store, "good") == two
    assert [item.path for item in list_artifacts(store, two.source)] == ["output/model.txt"]
    assert tags.frees_files(store, two)
    tags.delete(store, two)
    assert left(store) == [f"index/deleted/{run}"]


def test_a_tag_of_a_live_run_leaves_the_files(store: LocalStore) -> None:
    run = ended(store)
    tag = tags.add_to_run(store, "best", run, RECORD, "ada")
    tags.delete(store, tag)
    assert [item.path for item in list_artifacts(store, run)] == ["output/model.txt"]


def test_a_deletion_that_was_cut_off_can_be_repeated(store: LocalStore) -> None:
    run = ended(store)
    store.delete([f"runs/{run}/run.json"])
    with pytest.raises(NotFoundError):
        tags.add_to_run(store, "best", run, RECORD, "ada")
    assert tags.listing(store) == []
    delete_run(store, run)
    assert left(store) == [f"index/deleted/{run}"]


def test_what_runs_is_not_deleted(store: LocalStore) -> None:
    run = runs.submit(store, "train", lambda name: RECORD)
    with pytest.raises(InputError, match="train-1 is submitted"):
        delete_run(store, run)
    assert runs.read_run(store, run)


def test_local_files_and_folders_are_tagged(store: LocalStore, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "deep").mkdir(parents=True)
    (data / "deep" / "a.csv").write_text("1,2")
    single = tmp_path / "notes.txt"
    single.write_text("read me")
    tag = tags.add_files(store, "inputs", [data, single], "ada")
    assert tag.source.startswith(":inputs:")
    assert (tag.paths, tag.files, tag.bytes) == (
        ("data", "notes.txt"),
        2,
        len("1,2read me"),
    )
    files = [item.path for item in list_artifacts(store, tag.source)]
    assert files == ["data/deep/a.csv", "notes.txt"]
    assert tags.frees_files(store, tag)
    tags.delete(store, tag)
    assert left(store) == []


@pytest.mark.parametrize("name", ["", "-x", "a/b", "ü", "x" * 64, "../runs"])
def test_names_that_cannot_be(store: LocalStore, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be a tag"):
        tags.add_files(store, name, [tmp_path], "ada")
    with pytest.raises(NotFoundError):
        tags.read(store, name)


def test_a_tag_that_exists_is_not_replaced(store: LocalStore, tmp_path: Path) -> None:
    run = ended(store)
    tags.add_to_run(store, "best", run, RECORD, "ada")
    with pytest.raises(InputError, match="there is a tag 'best' already"):
        tags.add_to_run(store, "best", ended(store), RECORD, "ada")
    with pytest.raises(InputError, match="there is a tag 'best' already"):
        tags.add_files(store, "best", [tmp_path], "ada")
    assert tags.read(store, "best").run == run


def test_nothing_to_tag_and_nothing_found(store: LocalStore, tmp_path: Path) -> None:
    run = runs.submit(store, "train", lambda name: RECORD)
    with pytest.raises(NotFoundError, match="has left no artifacts"):
        tags.add_to_run(store, "best", run, RECORD, "ada")
    with pytest.raises(NotFoundError, match="no file or folder"):
        tags.add_files(store, "best", [tmp_path / "absent"], "ada")
    tags.add_to_run(store, "best", ended(store), RECORD, "ada")
    with pytest.raises(NotFoundError, match="did you mean 'best'"):
        tags.read(store, "bets")


def test_of_two_who_make_one_tag_at_once_one_has_it_whole(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ("first", "the second")
    for text in texts:
        (tmp_path / text).mkdir()
        (tmp_path / text / "data").write_text(text)
    winner = []

    def meanwhile(*_: object) -> None:
        # Somebody else, between this one's look and its files.
        monkeypatch.undo()
        winner.append(tags.add_files(store, "data", [tmp_path / texts[0] / "data"], "eve"))

    monkeypatch.setattr(tags, "_require_free", meanwhile)
    with pytest.raises(InputError, match="there is a tag 'data' already"):
        tags.add_files(store, "data", [tmp_path / texts[1] / "data"], "ada")
    assert tags.read(store, "data") == winner[0]
    [file] = [key for key in left(store) if key.startswith("artifacts/")]
    found = store.get(file)
    assert found is not None
    assert found.data == b"first"


def test_what_was_never_finished_goes_with_the_next_of_its_name(
    store: LocalStore, tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("x")
    store.put("artifacts/:data:0a0a0a0a/rest", b"half")
    store.put("artifacts/:data.more:0a0a0a0a/kept", b"another tag's")
    tag = tags.add_files(store, "data", [tmp_path / "data"], "ada")
    kept = [key for key in left(store) if key.startswith("artifacts/")]
    assert kept == ["artifacts/:data.more:0a0a0a0a/kept", f"artifacts/{tag.source}/data"]


def test_a_run_and_its_tag_that_are_deleted_at_once_leave_nothing(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ended(store)
    tag = tags.add_to_run(store, "best", run, RECORD, "ada")
    plain = store.delete

    def meanwhile(found: list[str]) -> None:
        if found == ["tags/best.json"]:
            # The run still held the files a moment ago; its deletion sees the tag.
            monkeypatch.undo()
            assert delete_run(store, run).held_by == ("best",)
        plain(found)

    monkeypatch.setattr(store, "delete", meanwhile)
    tags.delete(store, tag)
    assert left(store) == [f"index/deleted/{run}"]


def test_what_a_run_that_goes_on_depends_on_is_kept(store: LocalStore) -> None:
    run = ended(store)
    user = runs.submit(store, "use", lambda _: {**RECORD, "deps": [{"source": run}]})
    with pytest.raises(InputError, match=f"use-1, which is submitted, depends on {run}"):
        require_unneeded(store, run, run)
    require_unneeded(store, "train-11", "train-11")
    runs.settle(store, user, RunState.DONE)
    require_unneeded(store, run, run)
