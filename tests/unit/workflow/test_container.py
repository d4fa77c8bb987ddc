"""A workflow becomes a container spec."""

from __future__ import annotations

import pytest

from dstack_cloud.errors import InputError


def script(spec):
    """The commands' own lines, without what `shell_command` puts before them."""
    return spec.command[1].splitlines()[2:]


def test_order_in_the_container(train):
    keys = "requirements: 'my requirements.txt'\nbefore_run: [apt-get update]\ncommands: [run]"
    assert script(train(keys).container("train-1")) == [
        "apt-get update",
        "python3 -m pip install -r 'my requirements.txt'",
        "run",
    ]


def test_variables_in_commands_environment_and_image(train):
    keys = """
        before_run: ["echo ${{ run.name }}"]
        commands: ["x ${{ run.args }}", "echo $${{ y }}"]
        env: {NAME: "${{ run.name }}", ARGS: "${{ run.args }}", RAW: "$${{ z }}"}
        """
    spec = train(keys, image="image: registry/${{ run.name }}").container("train-7", ["a b", "c"])
    assert script(spec) == ["echo train-7", "x 'a b' c", "echo ${{ y }}"]
    assert spec.image == "registry/train-7"
    assert spec.environment == {"NAME": "train-7", "ARGS": "'a b' c", "RAW": "${{ z }}"}


def test_secrets_are_references_apart_from_the_environment(train):
    keys = """
        env:
          - TOKEN=${{ secrets.TOKEN }}
          - URL=https://${{ run.name }}:${{ secrets.PASSWORD }}@host
          - PLAIN=1
        """
    workflow = train(keys)
    spec = workflow.container("train-1")
    assert workflow.secrets == ("PASSWORD", "TOKEN")
    assert spec.environment == {"PLAIN": "1"}
    assert spec.secret_environment == {
        "TOKEN": "${{ secrets.TOKEN }}",
        "URL": "https://train-1:${{ secrets.PASSWORD }}@host",
    }


def test_variables_that_the_caller_lacks_are_told_together(train):
    workflow = train("env:\n  - HOM\n  - OTHER\n  - SET")
    with pytest.raises(InputError) as caught:
        workflow.container("train-1", environ={"HOME": "/", "SET": "1"})
    assert str(caught.value).splitlines() == [
        ".dstack/workflows.yaml:6:9: "
        "the environment variable 'HOM' is not set; did you mean 'HOME'?",
        ".dstack/workflows.yaml:7:9: the environment variable 'OTHER' is not set",
    ]
    assert caught.value.hint == "set it, or give it a value in the file"


def test_a_variable_of_a_mapping_that_the_caller_lacks(train):
    with pytest.raises(InputError) as caught:
        train("environment:\n  KEY:").container("train-1")
    assert caught.value.line == 6


def test_empty_is_set(train):
    assert train("env: [A]").container("x-1", environ={"A": ""}).environment == {"A": ""}


def test_shm_size_and_ports(train):
    spec = train("ports: [80, 81, 80]\nresources: {shm_size: 8GB}").container("train-1")
    assert (spec.shm_size, spec.ports) == (8 << 30, (80, 81))


def test_arguments_that_nothing_uses(train):
    workflow = train("commands: [a]")
    with pytest.raises(InputError) as caught:
        workflow.container("train-1", ["x"])
    assert str(caught.value) == (
        ".dstack/workflows.yaml:2:5: the commands do not use the arguments that were given"
    )
    assert caught.value.hint == "write ${{ run.args }} where they belong"


@pytest.mark.parametrize("key", ["commands: ['a ${{ run.args }}']", "env: {A: '${{ run.args }}'}"])
def test_arguments_are_used_anywhere(train, key):
    assert train(f"before_run: [b]\nfile: x.py\n{key}").container("train-1", ["x y"])


def test_what_is_wrong_with_a_secret_is_told_where_it_is_used(train):
    workflow = train("environment:\n  A: 1\n  TOKEN: x${{ secrets.TOKEN }}")
    error = workflow.secret_error("TOKEN", "gone", "make it")
    assert (str(error), error.hint) == (".dstack/workflows.yaml:7:14: gone", "make it")


def test_a_providers_ports_and_the_workflows_own(train):
    spec = train("ports: [80, 8888]", provider="lab", image="").container("x-1")
    assert spec.ports == (8888, 80)
    assert spec.pages == {8888: "/lab?token={token}"}


def test_limits_are_kept(train):
    workflow = train("max_duration: 1h\nmax_price: 1.5\ngrace: 5s")
    assert str(workflow.request.max_price) == str(workflow.max_price) == "1.5"
