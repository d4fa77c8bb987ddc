"""``provider: python`` runs a Python file."""

from __future__ import annotations

from pydantic import Field

from dstack_cloud.spec import ContainerSpec, ProviderContext
from dstack_cloud_providers.default_image import OnDefaultImage, in_bash
from dstack_cloud_providers.program import ARGUMENTS, Arguments, program_line

EXAMPLE = """\
workflows:
  - name: train
    provider: python
    file: train.py
    args: --epochs 10 ${{ run.args }}
    requirements: requirements.txt
    version: 3.11
"""


class Properties(OnDefaultImage):
    """Runs a Python file on an image with Python, Conda and, where GPUs are asked for, CUDA.

    `version` picks the default image's Python. The file's exit code is the run's.
    """

    file: str = Field(min_length=1, description="The file, relative to the working directory.")
    args: Arguments = ARGUMENTS


def container(properties: Properties, context: ProviderContext) -> ContainerSpec:
    """The image's own Python."""
    line = program_line(["python3", properties.file], properties.args, context)
    return in_bash(properties, context, [line])
