"""What is written after ``--`` reaches the program, through every quoting on the way there."""

from __future__ import annotations

import json
import subprocess

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dstack_cloud.lifecycle.record import RunRecord, record_from_json
from dstack_cloud.resources import ResourceRequest
from dstack_cloud.spec import ContainerSpec
from dstack_cloud.ssh.command import line
from dstack_cloud.ssh.docker import run_argv
from dstack_cloud.workflow.load import load_workflows

# What a process can be given at all: any text without NUL that has a UTF-8 form.
arguments = st.lists(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=6
)
WORKFLOWS = r"""
    workflows:
      - name: bash
        provider: bash
        commands:
          - printf '<%s>\0' ${{ run.args }}
      - name: docker
        provider: docker
        image: image
        commands:
          - true
          - printf '<%s>\0' ${{ run.args }}
      - name: own-command
        provider: docker
        image: image
        entrypoint: /usr/bin/printf '<%s>\0'
      - name: before-run
        provider: bash
        before_run:
          - printf '<%s>\0' ${{ run.args }}
        commands: [true]
"""


def recorded(container: ContainerSpec) -> ContainerSpec:
    """The container as it comes back from the run's record in the store."""
    record = RunRecord("train-1", "train", "x", "", "", "local", ResourceRequest(), container)
    return record_from_json(json.loads(json.dumps(record.as_json()))).container


def through_ssh(argv: list[str]) -> bytes:
    """What the far shell of an SSH connection makes of the line that is sent to it."""
    done = subprocess.run(["sh", "-c", line(argv)], capture_output=True, check=True, timeout=30)
    return done.stdout


@pytest.mark.parametrize("name", ["bash", "docker", "own-command", "before-run"])
@given(args=arguments)
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(args=["a b", "it's", '"', "$HOME", "`id`", "\\", "-n", "", "\n", "*", "~", "#", "é", "!!"])
@example(args=["${{ run.name }}", "$${{", "${{ secrets.X }}", "{root}", "{volatile}", "\r\n"])
def test_they_arrive_as_they_were_written(write, name, args):
    workflow = load_workflows(write(WORKFLOWS)).get(name)
    spec = recorded(workflow.container("train-1", args))
    argv = run_argv(spec, name="train-1")
    command = argv[argv.index(spec.image) + 1 :]
    assert argv[-len(command) - 3 : -len(command) - 1] == ["--entrypoint", spec.entrypoint]
    # As an engine starts the command of `docker run`: no shell in between.
    run = ["env", str(spec.entrypoint), *command]
    # printf prints its form once where there is nothing to print.
    assert through_ssh(run).decode() == "".join(f"<{arg}>\0" for arg in args or [""])
