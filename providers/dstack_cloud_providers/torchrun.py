"""``provider: torchrun`` runs a Python file in one process for each GPU, on one machine or many."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from dstack_cloud.spec import ContainerSpec, ProviderContext
from dstack_cloud_providers.default_image import OnDefaultImage, in_bash
from dstack_cloud_providers.program import ARGUMENTS, Arguments, program_line

EXAMPLE = """\
workflows:
  - name: train
    provider: torchrun
    file: train.py
    args: --epochs 10
    nodes: 2
    requirements: requirements.txt
    artifacts: [checkpoints]
    resources:
      gpu: "A100:8"
      shm_size: 16GB
"""

# PyTorch's own default: pytorch.org/docs/stable/elastic/run.html
_PORT = 29400


class Properties(OnDefaultImage):
    """Runs a Python file by PyTorch's `torchrun`, in one process for each GPU that is asked for.

    PyTorch must be in the image or in `requirements`. Without GPUs there is one process. A process
    that fails ends the others and the run.

    With `nodes`, so many machines of one type are launched at once in one zone, all or none, and
    `resources` are those of each. PyTorch's `c10d` rendezvous brings them together at node 0; see
    [many nodes](../many-nodes.md).
    """

    file: str = Field(min_length=1, description="The file, relative to the working directory.")
    args: Arguments = ARGUMENTS
    nodes: int = Field(default=1, ge=1, le=100, description="How many machines.")
    processes_per_node: int | None = Field(
        default=None, ge=1, description="Processes on each machine, where not one for each GPU."
    )


def container(properties: Properties, context: ProviderContext) -> ContainerSpec:
    """PyTorch's launcher, by the image's own Python."""
    processes = properties.processes_per_node or context.gpus or 1
    words = ["python3", "-m", "torch.distributed.run", *_meeting(properties.nodes, context.run)]
    words += [f"--nproc-per-node={processes}", properties.file]
    spec = in_bash(properties, context, [program_line(words, properties.args, context)])
    return replace(spec, nodes=properties.nodes)


def _meeting(nodes: int, run: str) -> list[str]:
    """Where the processes find each other. The engine is PyTorch's; node 0 holds the store."""
    if nodes == 1:
        return ["--standalone"]
    return [
        f"--nnodes={nodes}",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint=node-0:{_PORT}",
        f"--rdzv-id={run}",
    ]
