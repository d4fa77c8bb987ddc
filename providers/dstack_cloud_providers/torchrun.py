"""``provider: torchrun`` runs a Python file in one process for each GPU."""

from __future__ import annotations

from pydantic import Field

from dstack_cloud.spec import ContainerSpec, PropertyError, ProviderContext
from dstack_cloud_providers.default_image import OnDefaultImage, in_bash
from dstack_cloud_providers.program import ARGUMENTS, Arguments, program_line

EXAMPLE = """\
workflows:
  - name: train
    provider: torchrun
    file: train.py
    args: --epochs 10
    requirements: requirements.txt
    resources:
      gpu: "A100:8"
      shm_size: 16GB
"""


class Properties(OnDefaultImage):
    """Runs a Python file by PyTorch's `torchrun`, in one process for each GPU that is asked for.

    PyTorch must be in the image or in `requirements`. Without GPUs there is one process. A process
    that fails ends the others and the run.
    """

    file: str = Field(min_length=1, description="The file, relative to the working directory.")
    args: Arguments = ARGUMENTS
    nodes: int = Field(
        default=1, ge=1, description="How many machines; this version runs on one only."
    )


def container(properties: Properties, context: ProviderContext) -> ContainerSpec:
    """PyTorch's launcher, by the image's own Python."""
    if properties.nodes > 1:
        raise PropertyError(
            "nodes",
            "runs on several machines cannot be started yet",
            "leave 'nodes' out, and take one machine with more GPUs",
        )
    processes = f"--nproc-per-node={context.gpus or 1}"
    words = ["python3", "-m", "torch.distributed.run", "--standalone", processes, properties.file]
    return in_bash(properties, context, [program_line(words, properties.args, context)])
