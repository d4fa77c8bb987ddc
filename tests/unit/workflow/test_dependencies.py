from __future__ import annotations

import pytest

from dstack_cloud.errors import InputError
from dstack_cloud.workflow.dependencies import require_apart, require_no_circle, rounds
from dstack_cloud.workflow.load import load_workflows


@pytest.fixture
def file(write):
    """Workflows by name, from one line for each: ``name: deps``."""

    def made(**deps: str):
        entries = [
            f"  - {{name: {name}, provider: bash, commands: [a], deps: [{needed}]}}"
            for name, needed in deps.items()
        ]
        return load_workflows(write("\n".join(["workflows:", *entries]))).by_name

    return made


def test_the_names_as_written(write):
    text = "workflows:\n  - name: a\n    provider: bash\n    commands: [a]\n    deps:\n"
    text += "      - b\n      - :data\n      - workflow: c\n      - tag: more\n"
    assert load_workflows(write(text)).get("a").dependencies == ("b", ":data", "c", ":more")


def test_what_is_missing_runs_in_order_and_beside_each_other(file):
    workflows = file(train="clean, words, ':data'", clean="raw", words="raw", raw="", other="raw")
    assert rounds(workflows, "train", lambda name: True) == [["raw"], ["clean", "words"]]
    assert rounds(workflows, "train", lambda name: name != "raw") == [["clean", "words"]]
    # What only something needs that is there already does not run.
    assert rounds(workflows, "train", lambda name: name in ("raw", "words")) == [["raw"], ["words"]]
    assert rounds(workflows, "train", lambda name: name == "raw") == []
    assert rounds(workflows, "train", lambda name: False) == []


def test_a_circle_is_told_with_its_path_and_place(file):
    workflows = file(train="clean", clean="raw", raw="'clean'", free="")
    for name in ("train", "clean", "raw"):
        with pytest.raises(InputError) as caught:
            require_no_circle(workflows, name)
        assert "depend on each other: " in caught.value.message
        path = caught.value.message.partition(": ")[2].split(" → ")
        assert path[0] == path[-1]
        assert set(path) == {"clean", "raw"}
        assert caught.value.line == {"clean": 3, "raw": 4}[path[0]]
    require_no_circle(workflows, "free")
    with pytest.raises(InputError, match="me → me"):
        require_no_circle(file(me="me"), "me")


def test_nothing_lies_over_something_else(write):
    text = (
        "workflows:\n  - name: a\n    provider: bash\n    commands: [a]\n"
        "    artifacts: [out/model]\n    deps: [b, ':c']\n"
    )
    workflow = load_workflows(write(text)).get("a")
    require_apart(workflow, [("b", ["out/data", "input"]), (":c", ["output", "inputs"])])
    for brought, words in (
        ([("b", ["out"])], "'out', which 'b' brings, is an artifact of this workflow"),
        ([("b", ["out/model/best"])], "is an artifact of this workflow"),
        ([("b", ["x"]), (":c", ["x/y"])], "'x/y', which ':c' brings, comes from 'b' too"),
        ([("b", ["."])], "would cover the whole working directory"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            require_apart(workflow, brought)
        assert caught.value.line == 6
