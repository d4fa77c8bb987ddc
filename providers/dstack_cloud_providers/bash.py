"""``provider: bash`` runs shell commands on an image with Python and Conda."""

from __future__ import annotations

from pydantic import Field

from dstack_cloud.spec import ContainerSpec, ProviderContext
from dstack_cloud_providers.default_image import OnDefaultImage, in_bash

EXAMPLE = """\
workflows:
  - name: train
    provider: bash
    commands:
      - python train.py ${{ run.args }}
"""


class Properties(OnDefaultImage):
    """Runs shell commands on an image with Python, Conda and, where GPUs are asked for, CUDA.

    All commands run in one `/bin/bash`; the first that fails ends the run, and its exit code is
    the run's.
    """

    commands: list[str] = Field(min_length=1, description="The commands.")


def container(properties: Properties, context: ProviderContext) -> ContainerSpec:
    """One bash for all the commands."""
    context.refuse_args()
    return in_bash(properties, context, properties.commands)
