"""What is wrong is told with its place and the way out, all of it at once.

The cases are in the text files beside this one: what is written, then where the error points and
what it says. Those of keys stand below ``name: train``, ``provider: docker`` and an image, so
that they begin in line 5, column 5.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from dstack_cloud.errors import InputError
from dstack_cloud.workflow.load import load_workflows


def cases(file: str) -> list[tuple[str, str]]:
    """What is written, and the error that it makes."""
    text = Path(__file__).with_name(file).read_text(encoding="utf-8")
    blocks = [block.partition("\n=> ") for block in text.strip("\n").split("\n\n")]
    return [(written, error) for written, _, error in blocks]


@pytest.mark.parametrize(("keys", "error"), cases("problems_of_keys.txt"))
def test_problems_of_keys(problem, keys, error):
    found = problem(keys)
    assert str(found) == f".dstack/workflows.yaml:{error}"
    assert found.exit_code == 2


@pytest.mark.parametrize(("text", "error"), cases("problems_of_files.txt"))
def test_problems_of_files(write, text, error):
    root = write(text)
    with pytest.raises(InputError) as caught:
        load_workflows(root)
    assert str(caught.value) == f".dstack/workflows.yaml:{error}"


def test_an_empty_file(write):
    root = write("")
    with pytest.raises(InputError, match=r"yaml:1:1: 'workflows' is missing at the top"):
        load_workflows(root)


def test_an_unknown_key_that_is_like_none_is_told_with_all_there_are(problem):
    hint = problem("zzz: 1").hint
    assert hint.startswith("known keys: artifacts, before_run, cloud_access, commands,")
    assert "environment" in hint
    assert "image" in hint


def test_a_colon_in_a_command_gets_its_hint(problem):
    error = problem("commands:\n  - echo key: value")
    assert error.message == "'commands[0]': must be a text, not a mapping"
    assert error.hint == "put the text in quotes if it holds a colon"


def test_all_problems_of_all_files_at_once(write):
    write("workflows: [{name: a, provider: bash, commands: x}]", ".dstack/workflows/more.yaml")
    root = write("""\
        workflows:
          - name: train
            provider: docker
            imag: ubuntu
            resources:
              memory: much
          - name: other
            provider: dokcer
          - just text
        """)
    with pytest.raises(InputError) as caught:
        load_workflows(root)
    main = ".dstack/workflows.yaml"
    assert str(caught.value).splitlines() == [
        f"{main}:4:5: unknown key 'imag' in workflow 'train'; did you mean 'image'?",
        f"{main}:6:15: 'resources.memory': 'much' is not a size; write it like 16GB or 512MB",
        f"{main}:8:15: unknown provider 'dokcer'; did you mean 'docker'?",
        f"{main}:9:5: a workflow must be a mapping, like '- name: train'",
        ".dstack/workflows/more.yaml:1:49: 'commands': must be a list, not 'x'",
    ]
    assert (caught.value.line, caught.value.column) == (4, 5)


@pytest.mark.parametrize("text", ["workflows: [", "workflows:\n\t- name: x", "a: b: c", "'x"])
def test_malformed_yaml(write, text):
    root = write(text)
    with pytest.raises(InputError, match=r"^\.dstack/workflows\.yaml:\d+:\d+: .*YAML"):
        load_workflows(root)
