from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dstack_cloud.errors import NotFoundError
from dstack_cloud.lifecycle.dependencies import (
    Dependency,
    latest_run,
    require_possible,
    resolve,
    stored_path,
)
from dstack_cloud.state import runs, tags
from dstack_cloud.state.runs import RunState
from dstack_cloud.storage.local import LocalStore
from dstack_cloud.workflow.load import load_workflows
from dstack_cloud.workflow.workflow import Workflow


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def workflow(tmp_path: Path, deps: str) -> Workflow:
    (tmp_path / ".dstack").mkdir(exist_ok=True)
    (tmp_path / ".dstack/workflows.yaml").write_text(
        "workflows:\n  - name: train\n    provider: bash\n    commands: [a]\n"
        f"    deps: [{deps}]\n  - {{name: prepare, provider: bash, commands: [a]}}\n"
    )
    return load_workflows(tmp_path).get("train")


def record(*paths: str) -> dict[str, Any]:
    return {
        "workflow": "prepare",
        "artifacts": [{"path": path} for path in paths],
        "container": {"working_dir": "/workflow/app"},
    }


def ended(store: LocalStore, name: str, state: RunState, *paths: str) -> str:
    run = runs.submit(store, name, lambda _: record(*paths))
    runs.settle(store, run, state)
    return run


def test_the_latest_successful_run_counts(store: LocalStore, tmp_path: Path) -> None:
    for number in range(11):
        assert ended(store, "prepare", RunState.DONE, "out") == f"prepare-{number + 1}"
    ended(store, "prepare", RunState.FAILED, "out")
    ended(store, "prepare-more", RunState.DONE, "out")
    assert latest_run(store, "prepare") == "prepare-11"
    assert resolve(store, workflow(tmp_path, "prepare"), ["prepare"]) == (
        Dependency("prepare", "prepare-11", ("out",)),
    )


def test_a_tag_is_what_it_was_made_of(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.csv").write_text("1")
    tag = tags.add_files(store, "v1.0", [tmp_path / "data"], "ada")
    found = resolve(store, workflow(tmp_path, "':v1.0'"), [])
    assert found == (Dependency(":v1.0", tag.source, ("data",)),)


@pytest.mark.parametrize(
    ("deps", "words", "hint"),
    [
        ("prepare", "no run of 'prepare' has been successful", "dstack-cloud run prepare makes"),
        ("prepar", "no workflow here has that name, did you mean 'prepare'", "leave out"),
        ("':word'", "there is no tag 'word'", "dstack-cloud tags add word RUN"),
    ],
)
def test_what_is_missing_is_told_with_its_remedy(
    store: LocalStore, tmp_path: Path, deps: str, words: str, hint: str
) -> None:
    ended(store, "prepare", RunState.FAILED, "out")
    with pytest.raises(NotFoundError) as caught:
        resolve(store, workflow(tmp_path, deps), ["prepare"])
    assert words.replace(",", "") in caught.value.message.replace(";", "").replace(",", "")
    assert hint in (caught.value.hint or "")
    assert caught.value.where == ".dstack/workflows.yaml:5:12"


def test_a_run_that_keeps_nothing(store: LocalStore, tmp_path: Path) -> None:
    ended(store, "prepare", RunState.DONE)
    with pytest.raises(NotFoundError, match="'prepare' keeps no artifacts"):
        resolve(store, workflow(tmp_path, "prepare"), ["prepare"])


def test_where_artifacts_are_in_the_store() -> None:
    for path, stored in (
        ("out", "out"),
        ("out/", "out"),
        ("/workflow/app/out", "out"),
        ("/workflow/other", "other"),
        ("./a/../b", "b"),
    ):
        assert stored_path(record(), path) == stored


@pytest.mark.parametrize(
    ("deps", "words"),
    [
        ("prepare, ':word'", "there is no tag 'word'"),
        ("prepare, nowhere", "no run of 'nowhere' has been successful, and no workflow"),
        ("prepare", "'prepare' keeps no artifacts"),
    ],
)
def test_what_no_run_before_can_bring_is_told_before_any(
    store: LocalStore, tmp_path: Path, deps: str, words: str
) -> None:
    train = workflow(tmp_path, deps)
    workflows = load_workflows(tmp_path).by_name
    missing = [one for one in train.dependencies if not one.startswith(":")]
    if len(missing) + deps.count(":") > 1:
        prepare = "  - {name: prepare, provider: bash, commands: [a], artifacts: [out]}\n"
        text = (tmp_path / ".dstack/workflows.yaml").read_text()
        (tmp_path / ".dstack/workflows.yaml").write_text(text.rpartition("  - {")[0] + prepare)
        workflows = load_workflows(tmp_path).by_name
    with pytest.raises(NotFoundError) as caught:
        require_possible([store], workflows, [*missing, "train"])
    assert words in caught.value.message
    assert caught.value.where is not None
    assert caught.value.where.startswith(".dstack/workflows.yaml:5:")
