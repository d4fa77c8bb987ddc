"""``tensorboard``: which runs it is shown, and what becomes of their names."""

from __future__ import annotations

import pytest
from dstack_cloud_providers import tensorboard

from dstack_cloud.errors import InputError, NotFoundError
from dstack_cloud.lifecycle.shown import resolve
from dstack_cloud.spec import ProviderContext
from dstack_cloud.state import runs
from dstack_cloud.state.runs import RunState
from dstack_cloud.storage.local import LocalStore
from dstack_cloud.workflow.load import load_workflows

FILE = """\
workflows:
  - name: board
    provider: tensorboard
    runs: [{names}]
"""


@pytest.fixture
def board(tmp_path):
    def make(*names):
        file = tmp_path / ".dstack" / "workflows.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(FILE.format(names=", ".join(names)))
        return load_workflows(tmp_path).get("board")

    return make


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    found = LocalStore(folder)
    for _ in range(11):
        runs.submit(found, "train", lambda _: {})
    runs.move(found, "train-11", RunState.SUBMITTED, RunState.RUNNING)
    runs.submit(found, "train.x-2", lambda _: {})
    return found


def test_the_container():
    spec = tensorboard.container(
        tensorboard.Properties(runs=["train", "eval-3"]), ProviderContext("board-1")
    )
    assert (spec.image, spec.ports, spec.pages) == ("dstackai/miniconda:3.10", (6006,), {6006: "/"})
    assert (spec.shown_runs, spec.shown_files) == (("train", "eval-3"), ("*tfevents*",))
    assert "--logdir /runs" in spec.command[-1]


def test_a_run_or_a_workflows_latest_whatever_its_state(store, board):
    workflow = board("train", "train-2")
    names = ["train", "train-2", "train-11", "train.x-2-1", "train.x-2"]
    assert resolve(store, workflow, names) == ("train-11", "train-2", "train.x-2-1")


def test_a_name_that_is_neither(store, board):
    workflow = board("train", "trian-2")
    with pytest.raises(NotFoundError) as caught:
        resolve(store, workflow, ["train", "trian-2"])
    assert str(caught.value) == (
        ".dstack/workflows.yaml:4:19: 'trian-2' is neither a run nor a workflow that was run; "
        "did you mean 'train-2'?"
    )


@pytest.mark.parametrize(
    ("runs_line", "words"),
    [
        ("", "'runs' is missing"),
        ("    runs: []\n", "runs"),
        ("    runs: train\n", "list"),
        ("    runs: [a]\n    commands: [b]\n", "unknown key 'commands'"),
    ],
)
def test_what_is_wrong_with_the_file(tmp_path, runs_line, words):
    file = tmp_path / ".dstack" / "workflows.yaml"
    file.parent.mkdir()
    file.write_text(f"workflows:\n  - name: board\n    provider: tensorboard\n{runs_line}")
    with pytest.raises(InputError, match=words):
        load_workflows(tmp_path)


def test_arguments_mean_nothing_to_it(board):
    with pytest.raises(InputError, match="TensorBoard does not use the arguments"):
        board("train").container("board-1", ["--port", "1"])
