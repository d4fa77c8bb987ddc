"""``provider: bash`` runs shell commands on an image with Python and Conda."""

from __future__ import annotations

from pydantic import BaseModel, Field

from dstack_cloud.errors import InputError
from dstack_cloud.spec import ContainerSpec, ProviderContext, shell_command
from dstack_cloud_providers.default_image import default_image


class Properties(BaseModel, extra="forbid", frozen=True):
    """The keys of ``bash``."""

    commands: list[str] = Field(
        min_length=1, description="The commands; the first that fails ends the run."
    )
    image: str | None = Field(
        default=None,
        min_length=1,
        description="Another image than the default one; it must have bash.",
    )


def container(properties: Properties, context: ProviderContext) -> ContainerSpec:
    """One bash for all the commands."""
    if context.args:
        raise InputError(
            "the commands do not use the arguments that were given",
            "write ${{ run.args }} where they belong",
        )
    return ContainerSpec(
        image=properties.image or default_image(context),
        entrypoint="/bin/bash",
        command=shell_command([*context.setup, *properties.commands]),
    )
