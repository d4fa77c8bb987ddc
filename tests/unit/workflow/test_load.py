"""Where workflow files are looked for, and which workflow is found in them."""

from __future__ import annotations

import pytest

from dstack_cloud.errors import InputError, NotFoundError
from dstack_cloud.workflow.load import find_root, load_workflows

HELLO = "workflows: [{name: hello, provider: docker, image: ubuntu}]"


def hello(name):
    return HELLO.replace("hello", name)


@pytest.mark.parametrize("file", ["workflows.yaml", "workflows.yml", "workflows/a.yaml"])
def test_found_from_a_folder_below(write, file):
    root = write(HELLO, f".dstack/{file}")
    below = root / "src" / "deep"
    below.mkdir(parents=True)
    found = load_workflows(below)
    assert (found.root, found.files) == (root, (f".dstack/{file}",))
    assert found.get("hello").name == "hello"


def test_all_files_count_the_main_one_first(write):
    write(hello("c"), ".dstack/workflows/z.yaml")
    write(hello("b"), ".dstack/workflows/a.yml")
    write("not: read", ".dstack/workflows/notes.txt")
    root = write(hello("a"))
    assert list(load_workflows(root).by_name) == ["a", "b", "c"]


def test_the_same_name_in_two_files(write):
    write(HELLO, ".dstack/workflows/more.yaml")
    root = write(HELLO)
    with pytest.raises(InputError) as caught:
        load_workflows(root)
    assert str(caught.value) == (
        ".dstack/workflows/more.yaml:1:20: "
        "there is a workflow 'hello' already, in .dstack/workflows.yaml:1"
    )


def test_a_git_repository_is_a_world_of_its_own(write):
    root = write(HELLO)
    inner = root / "vendored"
    (inner / ".git").mkdir(parents=True)
    with pytest.raises(InputError, match=r"no \.dstack/workflows\.yaml in .*vendored or above it"):
        find_root(inner)


def test_no_file(write, tmp_path):
    (tmp_path / ".git").mkdir(exist_ok=True)
    with pytest.raises(InputError, match=r"no \.dstack/workflows\.yaml") as caught:
        load_workflows(tmp_path)
    assert caught.value.exit_code == 2
    # The hint is a file that works.
    example = caught.value.hint.partition("example: ")[2]
    assert load_workflows(write(example)).get("hello").container("hello-1").entrypoint


def test_a_mistyped_workflow(write):
    root = write("workflows: [{name: train, provider: docker, image: u}]")
    with pytest.raises(NotFoundError) as caught:
        load_workflows(root).get("trian")
    assert caught.value.message == (
        "no workflow 'trian' in .dstack/workflows.yaml; did you mean 'train'?"
    )
    assert (caught.value.hint, caught.value.exit_code) == ("workflows: train", 64)


def test_an_empty_list_has_no_workflow(write):
    with pytest.raises(NotFoundError) as caught:
        load_workflows(write("workflows: []")).get("x")
    assert caught.value.hint == "workflows: none"


def test_not_a_text(write):
    root = write("")
    (root / ".dstack" / "workflows.yaml").write_bytes(b"workflows: \xff")
    with pytest.raises(InputError, match=r"^\.dstack/workflows\.yaml: not a UTF-8 text$"):
        load_workflows(root)


def test_what_cannot_be_read(write, monkeypatch):
    root = write(HELLO)
    path = root / ".dstack" / "workflows.yaml"
    path.unlink()
    # A file that is gone between the look and the reading: root reads whatever has no rights.
    monkeypatch.setattr("dstack_cloud.workflow.load.workflow_files", lambda _: [path])
    with pytest.raises(InputError, match=r"yaml: cannot be read: No such file"):
        load_workflows(root)
