from __future__ import annotations

import pytest
from dstack_cloud_providers.bash import Properties, container
from pydantic import ValidationError

from dstack_cloud.errors import InputError
from dstack_cloud.spec import ContainerSpec, ProviderContext, shell_command


def make(properties=None, **context):
    given = Properties(**{"commands": ["a"], **(properties or {})})
    return container(given, ProviderContext(run="hello-1", **context))


def test_commands_run_in_one_bash():
    assert make({"commands": ["a", "b"]}, setup=("first",)) == ContainerSpec(
        image="dstackai/miniconda:3.10",
        entrypoint="/bin/bash",
        command=shell_command(["first", "a", "b"]),
    )


@pytest.mark.parametrize(
    ("context", "image"),
    [
        ({}, "dstackai/miniconda:3.10"),
        ({"version": "3.9"}, "dstackai/miniconda:3.9"),
        ({"gpus": 2}, "dstackai/miniconda:3.10-cuda-11.1"),
        ({"gpus": 1, "version": "3.8"}, "dstackai/miniconda:3.8-cuda-11.1"),
        ({"gpus": 1, "version": "3.8", "default_image": "mine:1"}, "mine:1"),
    ],
)
def test_the_default_image(context, image):
    assert make(**context).image == image


def test_the_workflows_own_image_is_first():
    assert make({"image": "own"}, default_image="mine:1", gpus=1).image == "own"


def test_commands_are_needed():
    with pytest.raises(ValidationError):
        Properties(commands=[])


def test_commands_that_do_not_use_the_arguments():
    with pytest.raises(InputError, match="do not use the arguments"):
        make(args=("x",))
