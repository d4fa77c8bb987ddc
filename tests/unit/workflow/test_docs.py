"""The page on the workflow file names every key, and its examples are good ones."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dstack_cloud.workflow.load import load_workflows
from dstack_cloud.workflow.models import (
    ALIASES,
    Artifact,
    Common,
    Dependency,
    Gpu,
    RegistryAuth,
    Resources,
    Retry,
)
from dstack_cloud.workflow.providers import MODULES, load_provider

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "workflow-file.md").read_text("utf-8")
OWN = (ROOT / "docs" / "providers.md").read_text("utf-8")
MODELS = [Common, Resources, Gpu, Artifact, Dependency, Retry, RegistryAuth]
PROVIDERS = [load_provider(name, ROOT) for name in MODULES]
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(
    "key", sorted({*ALIASES, *(key for model in MODELS for key in model.model_fields)})
)
def test_every_key_has_a_row(key):
    assert re.search(rf"^\|.*`{key}`.*\|.*\|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("provider", MODULES)
def test_every_provider_is_named(provider):
    assert f"`{provider}`" in PAGE
    assert f"`{provider}`" in OWN


def test_the_providers_pages_are_those_of_their_models():
    argv = [sys.executable, str(ROOT / "scripts" / "provider-pages"), "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"run scripts/provider-pages: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_a_providers_example_runs(write, provider):
    [workflow] = load_workflows(write(provider.module.EXAMPLE)).by_name.values()
    assert workflow.container("train-1").image


def test_the_example_of_a_users_own_provider_runs(write):
    [source] = re.findall(r"```python\n(.*?)```", OWN, re.DOTALL)
    [text] = re.findall(r"```yaml\n(.*?)```", OWN, re.DOTALL)
    write(source, ".dstack/providers/julia.py")
    [workflow] = load_workflows(write(text)).by_name.values()
    spec = workflow.container("solve-1", ["a b"])
    assert spec.image == "julia:1.11"
    assert spec.command[-1].endswith("julia --threads=8 solve.jl 'a b'")


def test_there_are_examples():
    assert len(EXAMPLES) == 7


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_run(write, example):
    workflow = load_workflows(write(example)).get("train")
    assert workflow.container("train-1", ["x"] * ("args" in example), {"WANDB_API_KEY": "k"})


@pytest.mark.parametrize("model", [*MODELS, *(one.properties for one in PROVIDERS if one)])
def test_every_key_says_what_it_means(model):
    for field in model.model_fields.values():
        assert re.fullmatch(r".+[.…]", field.description or "")
