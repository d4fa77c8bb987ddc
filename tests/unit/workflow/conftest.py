from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from dstack_cloud.errors import InputError
from dstack_cloud.workflow.load import load_workflows
from dstack_cloud.workflow.workflow import Workflow

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a workflow file into a repository of its own and returns the repository."""
    (tmp_path / ".git").mkdir()

    def _write(text: str, file: str = ".dstack/workflows.yaml") -> Path:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return tmp_path

    return _write


@pytest.fixture
def train(write: Write) -> Callable[[str], Workflow]:
    """The workflow ``train``: a docker one, with the given keys besides."""

    def _train(keys: str = "", provider: str = "docker", image: str = "image: ubuntu") -> Workflow:
        lines = ["name: train", f"provider: {provider}", *filter(None, [image])]
        lines += dedent(keys).strip("\n").splitlines()
        text = "workflows:\n  - " + "\n    ".join(lines) + "\n"
        return load_workflows(write(text)).get("train")

    return _train


@pytest.fixture
def problem(train: Callable[..., Workflow]) -> Callable[..., InputError]:
    """The error that ``train`` with the given keys, from line 5 on, is refused with."""

    def _problem(keys: str, **others: str) -> InputError:
        with pytest.raises(InputError) as caught:
            train(keys, **others)
        return caught.value

    return _problem
