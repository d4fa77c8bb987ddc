from __future__ import annotations

import pytest
from dstack_cloud_providers.docker import Properties, container

from dstack_cloud.errors import InputError
from dstack_cloud.spec import ContainerSpec, ProviderContext, shell_command

CONTEXT = ProviderContext(run="train-1")


def make(args=(), setup=(), version=None, image="ubuntu", **properties):
    context = ProviderContext(run="train-1", args=args, setup=setup, version=version)
    return container(Properties(image=image, **properties), context)


def test_the_image_as_it_is():
    assert make() == ContainerSpec(image="ubuntu")


def test_arguments_replace_the_images_own_command():
    assert make(args=("a b", "c")) == ContainerSpec(image="ubuntu", command=("a b", "c"))


def test_commands_run_in_one_shell():
    spec = make(commands=["a", "b"], setup=("first",))
    assert (spec.entrypoint, spec.command) == ("/bin/sh", shell_command(["first", "a", "b"]))


def test_a_file_runs_with_its_arguments_when_there_are_no_commands():
    spec = make(file="my train.py", args=("--lr", "0.1 x"), setup=("first",))
    assert spec.command == shell_command(["first", "python3 'my train.py' --lr '0.1 x'"])
    assert spec.warnings == ()


def test_commands_win_over_a_file_and_it_is_said():
    spec = make(commands=["a"], file="b.py")
    assert spec.command == shell_command(["a"])
    assert spec.warnings == ("'file' is not run, because there are 'commands'",)


def test_no_commands_are_none():
    assert make(commands=[]) == ContainerSpec(image="ubuntu")


def test_an_entrypoint_takes_the_place_of_the_images_own():
    spec = make(entrypoint="python3 -m 'my module'", args=("x",))
    assert (spec.entrypoint, spec.command) == ("python3", ("-m", "my module", "x"))


def test_an_entrypoint_is_the_shell_of_the_commands():
    spec = make(entrypoint="/bin/bash -x", commands=["a"])
    assert (spec.entrypoint, spec.command) == ("/bin/bash", ("-x", *shell_command(["a"])))


@pytest.mark.parametrize("entrypoint", ["'", " "])
def test_an_entrypoint_that_is_none(entrypoint):
    with pytest.raises(InputError, match="is not a command line"):
        make(entrypoint=entrypoint)


def test_setup_needs_something_to_run_before():
    with pytest.raises(InputError, match="need something to run before"):
        make(setup=("pip install x",))


def test_commands_that_do_not_use_the_arguments():
    with pytest.raises(InputError, match="do not use the arguments"):
        make(commands=["a"], args=("x",))


@pytest.mark.parametrize(
    ("image", "version", "warned"),
    [
        ("python:3.10", "3.10", False),
        ("python:3.10.4-slim", "3.10", False),
        ("host:5000/python:3.10-slim", "3.10", False),
        ("python:3.10", "3.10.4", False),
        ("dstackai/miniconda:3.10-cuda-11.1", "3.10", False),
        ("python:3.10@sha256:00", "3.10", False),
        ("python:3.1", "3.10", True),
        ("python:13.10", "3.10", True),
        ("python:3.11", "3.10", True),
        ("ubuntu", "3.10", True),
        ("host:3.10/python", "3.10", True),
        ("ubuntu", None, False),
    ],
)
def test_a_version_that_the_image_does_not_name(image, version, warned):
    warnings = make(image=image, version=version).warnings
    text = (
        f"'version: {version}' changes nothing: the Python is the one that the image {image} brings"
    )
    assert warnings == ((text,) if warned else ())
