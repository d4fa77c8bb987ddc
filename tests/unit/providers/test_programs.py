"""``python`` and ``torchrun``: the command line of a Python file."""

from __future__ import annotations

import pytest
from dstack_cloud_providers import python, torchrun

from dstack_cloud.spec import ContainerSpec, ProviderContext, shell_command


def last_line(module, properties, **context):
    spec = module.container(
        module.Properties(**properties), ProviderContext(run="train-1", **context)
    )
    return spec.command[-1].splitlines()[-1]


def test_a_file_runs_in_bash_after_what_comes_first():
    properties = python.Properties(file="my train.py")
    assert python.container(
        properties, ProviderContext("train-1", setup=("first",), version="3.9")
    ) == ContainerSpec(
        image="dstackai/miniconda:3.9",
        entrypoint="/bin/bash",
        command=shell_command(["first", "python3 'my train.py'"]),
    )


@pytest.mark.parametrize(
    ("args", "given", "line"),
    [
        (None, (), "python3 a.py"),
        (None, ("x y", ""), "python3 a.py 'x y' ''"),
        ("--out $HOME", (), "python3 a.py --out $HOME"),
        ("--lr 1", ("--lr", "2"), "python3 a.py --lr 1 --lr 2"),
        (["--note", "two words", "$HOME"], (), "python3 a.py --note 'two words' '$HOME'"),
    ],
)
def test_the_files_arguments_then_the_callers(args, given, line):
    assert last_line(python, {"file": "a.py", "args": args}, args=given) == line


@pytest.mark.parametrize(("gpus", "processes"), [(0, 1), (1, 1), (8, 8)])
def test_torchrun_has_a_process_for_each_gpu(gpus, processes):
    line = last_line(torchrun, {"file": "a.py", "args": "-v"}, gpus=gpus, args=("x",))
    start = f"python3 -m torch.distributed.run --standalone --nproc-per-node={processes}"
    assert line == f"{start} a.py -v x"


def test_nodes_meet_at_node_0():
    line = last_line(torchrun, {"file": "a.py", "nodes": 3, "processes_per_node": 2}, gpus=8)
    assert line == (
        "python3 -m torch.distributed.run --nnodes=3 --rdzv-backend=c10d "
        "--rdzv-endpoint=node-0:29400 --rdzv-id=train-1 --nproc-per-node=2 a.py"
    )
