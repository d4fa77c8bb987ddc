"""The image that the providers run on when the workflow names none, and one bash in it."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from dstack_cloud.spec import ContainerSpec, ProviderContext, shell_command

DEFAULT_VERSION = "3.10"


class OnDefaultImage(BaseModel):
    """The key of every provider that has a default image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str | None = Field(
        default=None,
        min_length=1,
        description="Another image than the default one; it must have bash and Python.",
    )


def default_image(context: ProviderContext) -> str:
    """The configuration's image, else the published one for the Python version.

    With GPUs it is the variant with CUDA: ``dstackai/miniconda:3.10-cuda-11.1``, as the published
    providers name it.
    """
    if context.default_image:
        return context.default_image
    variant = "-cuda-11.1" if context.gpus else ""
    return f"dstackai/miniconda:{context.version or DEFAULT_VERSION}{variant}"


def in_bash(
    properties: OnDefaultImage, context: ProviderContext, lines: Sequence[str]
) -> ContainerSpec:
    """One bash that sets up and runs ``lines``."""
    return ContainerSpec(
        image=properties.image or default_image(context),
        entrypoint="/bin/bash",
        command=shell_command([*context.setup, *lines]),
    )
