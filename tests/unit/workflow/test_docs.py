"""The page on the workflow file names every key, and its examples are good ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from dstack_cloud_providers import bash, docker

from dstack_cloud.workflow.load import load_workflows
from dstack_cloud.workflow.models import (
    ALIASES,
    Artifact,
    Common,
    Dependency,
    Gpu,
    Resources,
    Retry,
)
from dstack_cloud.workflow.providers import MODULES, PLANNED

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "workflow-file.md").read_text("utf-8")
MODELS = [Common, Resources, Gpu, Artifact, Dependency, Retry, bash.Properties, docker.Properties]
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(
    "key", sorted({*ALIASES, *(key for model in MODELS for key in model.model_fields)})
)
def test_every_key_has_a_row(key):
    assert re.search(rf"^\|.*`{key}`.*\|.*\|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("provider", [*MODULES, *PLANNED])
def test_every_provider_is_named(provider):
    assert f"`{provider}`" in PAGE


def test_there_are_examples():
    assert len(EXAMPLES) == 4


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_run(write, example):
    workflow = load_workflows(write(example)).get("train")
    workflow.require_runnable()
    assert workflow.container("train-1", ["x"] * ("args" in example), {"WANDB_API_KEY": "k"})


@pytest.mark.parametrize("model", MODELS)
def test_every_key_says_what_it_means(model):
    for field in model.model_fields.values():
        assert re.fullmatch(r".+[.…]", field.description or "")
