from __future__ import annotations

import pytest

from dstack_cloud.errors import InputError
from dstack_cloud.yaml_lines import Node, Position, load_yaml

FILE = "workflows.yaml"


def load(text: str) -> Node:
    return load_yaml(text, FILE)


def fails(text: str) -> InputError:
    with pytest.raises(InputError) as caught:
        load(text)
    assert caught.value.file == FILE
    return caught.value


def test_every_key_and_value_knows_its_place() -> None:
    root = load("workflows:\n  - name: train\n    resources: {gpu: 1}\n")
    path = ("workflows", 0, "resources", "gpu")
    assert root.where(path) == Position(3, 22)
    assert root.where_key(path) == Position(3, 17)
    assert root.where_key(("workflows", 0)) == Position(2, 5)
    assert root.plain() == {"workflows": [{"name": "train", "resources": {"gpu": 1}}]}


def test_a_path_that_ends_in_nothing_is_placed_at_the_deepest_that_exists() -> None:
    root = load("a:\n  b: 1\n")
    assert root.where(("a", "missing", "x")) == Position(2, 3)
    assert root.where_key(("a", "missing")) == Position(2, 3)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3.10", 3.1),
        ("007", 7),
        ("on", "on"),
        ("yes", "yes"),
        ("12:30", "12:30"),
        ("2026-01-31", "2026-01-31"),
        ("true", True),
        ("~", None),
        ("", None),
        ("'5'", "5"),
        ("0x10", 16),
        ("1e3", 1000.0),
        (".inf", float("inf")),
        ("1_000", "1_000"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    node = load(f"key: {text}\n").at(("key",))
    assert node.data == value
    assert type(node.data) is type(value)
    assert node.text == text.strip("'")


def test_keys_are_strings_as_written() -> None:
    assert load("on: 1\n3.10: 2\nyes: 3\n").plain() == {"on": 1, "3.10": 2, "yes": 3}


def test_text_can_be_asked_for_by_path() -> None:
    root = load("version: 3.10\nenv:\n  A: 010\n  B: true\ncount: 3\n")
    plain = root.plain(lambda path: path[0] in ("version", "env"))
    assert plain == {"version": "3.10", "env": {"A": "010", "B": "true"}, "count": 3}


def test_a_repeated_key_is_an_error_at_its_second_place() -> None:
    error = fails("a: 1\nb: 2\na: 3\n")
    assert (error.line, error.column) == (3, 1)
    assert "'a'" in error.message
    assert "line 1" in error.message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [1, 2\nb: 3\n", 2),
        ("a: b: c\n", 1),
        ("a:\n\tb: 1\n", 2),
        ("a: 'open\n", 2),
        ("a: 1\n---\nb: 2\n", 2),
        ("a: *nowhere\n", 1),
        ("a: !!python/object:os.system x\n", 1),
        ("a: !secret {x: 1}\n", 1),
        ("? [1, 2]\n: 3\n", 1),
        ("a: &a [*a]\n", 1),
        ("ok: 1\na: \x00\n", 2),
        ("<<: 5\n", 1),
    ],
)
def test_bad_yaml_is_placed(text: str, line: int) -> None:
    error = fails(text)
    assert error.line == line
    assert error.column is not None


def test_an_enormous_value_made_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "aliases" in fails("\n".join(lines)).message


def test_depth_is_refused_without_a_traceback() -> None:
    assert "deep" in fails("[" * 5000).message


def test_anchors_and_merges_work() -> None:
    root = load("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n")
    assert root.plain()["use"] == {"y": 3, "x": 1}
    assert root.where_key(("use", "x")) == Position(1, 11)


def test_an_empty_file_is_null_and_a_byte_order_mark_is_no_key() -> None:
    assert load("").data is None
    assert load("# nothing\n").data is None
    assert load("\ufeffa: 1\n").plain() == {"a": 1}


def test_error_names_the_place() -> None:
    error = load("a:\n  b: 1\n").error("no", "do", path=("a", "b"), key=True)
    assert str(error) == f"{FILE}:2:3: no"
    assert error.hint == "do"
