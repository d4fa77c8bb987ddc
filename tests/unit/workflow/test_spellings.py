"""Every spelling that is accepted, and what it means."""

from __future__ import annotations

import pytest

from dstack_cloud.errors import InputError
from dstack_cloud.resources import GpuRequest
from dstack_cloud.spec import ArtifactSpec
from dstack_cloud.workflow.gpu import parse_gpu

GIB = 1 << 30


@pytest.mark.parametrize(
    ("spelling", "meaning"),
    [
        ("1", GpuRequest(1)),
        ("'4'", GpuRequest(4)),
        ("0", None),
        ("A100", GpuRequest(1, "A100")),
        ("A100:8", GpuRequest(8, "A100")),
        ('"A100:8"', GpuRequest(8, "A100")),
        ("a10g", GpuRequest(1, "a10g")),
        ("A100-80GB:2", GpuRequest(2, "A100-80GB")),
        ("RTX PRO 6000", GpuRequest(1, "RTX PRO 6000")),
        ("{name: K80}", GpuRequest(1, "K80")),
        ("{count: 2}", GpuRequest(2)),
        ("{memory: 24GB}", GpuRequest(1, None, 24 * GIB)),
        ("{name: A100, count: 8, memory: 80GiB}", GpuRequest(8, "A100", 80 * GIB)),
        ("{}", GpuRequest(1)),
    ],
)
def test_gpu(train, spelling, meaning):
    assert train(f"resources: {{gpu: {spelling}}}").request.gpu == meaning


@pytest.mark.parametrize("text", ["", ":8", "A100:", "A100:0", "A100:x", "-1", "1.5", "8:A100"])
def test_what_is_not_a_gpu(text):
    with pytest.raises(ValueError, match="write it like 1, A100 or A100:8"):
        parse_gpu(text)


@pytest.mark.parametrize(
    ("spelling", "size"),
    [
        ("16GB", 16 * GIB),
        ("16GiB", 16 * GIB),
        ('"16GB"', 16 * GIB),
        ("16 gb", 16 * GIB),
        ("512MB", GIB // 2),
        ("1.5GB", 3 * GIB // 2),
        ("17179869184", 16 * GIB),
    ],
)
@pytest.mark.parametrize("key", ["memory", "disk", "shm_size"])
def test_sizes(train, key, spelling, size):
    assert getattr(train(f"resources: {{{key}: {spelling}}}").request, key) == size


@pytest.mark.parametrize("word", ["true", "True", "yes", "on", '"true"'])
def test_interruptible(train, word):
    assert train(f"resources: {{interruptible: {word}}}").request.interruptible is True


@pytest.mark.parametrize("keys", ["", "resources:", "resources: {interruptible: no}"])
def test_not_interruptible(train, keys):
    assert train(keys).request.interruptible is False


@pytest.mark.parametrize("key", ["environment", "env"])
@pytest.mark.parametrize(
    "value",
    [
        "[A=1, B=x=y z, C=, D]",
        "{A: 1, B: x=y z, C: '', D: }",
        "{A: 1, B: x=y z, C: '', D: null}",
    ],
)
def test_environment(train, key, value):
    spec = train(f"{key}: {value}").container("train-1", environ={"D": "mine", "E": "not asked"})
    assert spec.environment == {"A": "1", "B": "x=y z", "C": "", "D": "mine"}


def test_environment_values_are_what_was_written(train):
    keys = """
        env:
          VERSION: 3.10
          MODE: 0755
          SWITCH: on
          ANSWER: no
          BIG: 1e3
          TRUE: TRUE
          TIME: 12:30
          DAY: 2026-01-31
          QUOTED: "null"
        """
    assert train(keys).container("train-1").environment == {
        "VERSION": "3.10",
        "MODE": "0755",
        "SWITCH": "on",
        "ANSWER": "no",
        "BIG": "1e3",
        "TRUE": "TRUE",
        "TIME": "12:30",
        "DAY": "2026-01-31",
        "QUOTED": "null",
    }


@pytest.mark.parametrize("version", ["3.10", "'3.10'", '"3.10"'])
def test_version_is_not_a_number(train, version):
    spec = train(f"version: {version}\ncommands: [a]", "bash", "").container("train-1")
    assert spec.image == "dstackai/miniconda:3.10"


def test_commands_that_look_like_other_things(train):
    spec = train("commands: [yes, on, 3.10, ~user/x, 'true']").container("train-1")
    assert spec.command[1].splitlines()[2:] == ["yes", "on", "3.10", "~user/x", "true"]


def test_retry_on_is_a_key_and_not_yaml_1_1s_true(train):
    assert train("retry:\n  on: [interruption]").common.retry.on == ["interruption"]


@pytest.mark.parametrize("key", ["before_run", "setup"])
def test_before_run(train, key):
    spec = train(f"{key}: [one, two]\ncommands: [three]").container("train-1")
    assert spec.command[1].splitlines()[2:] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("value", "artifacts"),
    [
        ("[output]", [ArtifactSpec("output")]),
        ("[{path: output}]", [ArtifactSpec("output")]),
        ("[{path: output, mount: true}, b]", [ArtifactSpec("output", True), ArtifactSpec("b")]),
        ("[./output/, 'a//b/./c']", [ArtifactSpec("output"), ArtifactSpec("a/b/c")]),
        ("[3.10, 'with space']", [ArtifactSpec("3.10"), ArtifactSpec("with space")]),
        ("", []),
    ],
)
def test_artifacts(train, value, artifacts):
    assert list(train(f"artifacts: {value}").artifacts) == artifacts


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        ("prepare", ("prepare", None)),
        ("':data'", (None, "data")),
        ("{workflow: prepare}", ("prepare", None)),
        ("{tag: data}", (None, "data")),
    ],
)
def test_deps(train, value, meaning):
    (dependency,) = train(f"deps: [{value}]").common.deps
    assert (dependency.workflow, dependency.tag) == meaning


@pytest.mark.parametrize(
    ("written", "inside"),
    [
        ("src", "/workflow/src"),
        ("./a/b/", "/workflow/a/b"),
        (".", "/workflow"),
        ("/workflow", "/workflow"),
        ("/workflow/src", "/workflow/src"),
        ("", "/workflow"),
    ],
)
def test_working_dir(train, written, inside):
    assert train(f"working_dir: {written}").container("train-1").working_dir == inside


@pytest.mark.parametrize(("written", "seconds"), [("0s", 0), ("90", 90), ("1m30s", 90), ("", 30)])
def test_grace(train, written, seconds):
    assert train(f"grace: {written}").grace == seconds


def test_anchors_and_merges(write, train):
    workflow = train("resources: &big {cpu: 8}\nenv: {<<: {A: 1}, B: 2}")
    assert workflow.request.cpu == 8
    assert workflow.container("train-1").environment == {"A": "1", "B": "2"}


def test_lists_of_other_forms_are_not_taken(problem):
    assert isinstance(problem("commands: python train.py"), InputError)


def test_an_early_warning_that_counts_means_an_interruption_counts_too(train):
    assert train("retry:\n  on: [rebalance, 7]").retry.on == ("rebalance", "7", "interruption")
