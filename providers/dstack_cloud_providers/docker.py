"""``provider: docker`` runs any image: its own command, shell commands, or a Python file."""

from __future__ import annotations

import re
import shlex

from pydantic import BaseModel, Field

from dstack_cloud.errors import InputError
from dstack_cloud.spec import ContainerSpec, ProviderContext, shell_command

_VERSION_IN_TAG = re.compile(r"(?<![\d.])\d+\.\d+(?:\.\d+)?")


EXAMPLE = """\
workflows:
  - name: train
    provider: docker
    image: ubuntu
    commands:
      - mkdir -p output
      - echo 'Hello, world!' > output/hello.txt
    artifacts:
      - path: output
"""


class Properties(BaseModel, extra="forbid", frozen=True):
    """Runs any image; a private one with the `registry_auth` that every workflow may have.

    Without `commands` and `file` the image's own command runs, and arguments take its place.
    `version` changes nothing here; a warning says so where the image's tag names another one.
    """

    image: str = Field(min_length=1, description="The image to run.")
    commands: list[str] | None = Field(
        default=None, description="Shell commands; the first that fails ends the run."
    )
    file: str | None = Field(
        default=None, min_length=1, description="A Python file to run when there are no commands."
    )
    entrypoint: str | None = Field(
        default=None,
        min_length=1,
        description="Instead of the image's own; with commands, the shell that runs them.",
    )


def container(properties: Properties, context: ProviderContext) -> ContainerSpec:
    """The image with the commands, else with the file, else as it is."""
    warnings = _warnings(properties, context)
    entrypoint, before = _entrypoint(properties.entrypoint)
    lines = _lines(properties, context)
    if not lines:
        if context.setup:
            raise InputError(
                "'before_run' and 'requirements' need something to run before: "
                "'commands' or a 'file'",
                "write the image's own command as the one of 'commands'",
            )
        return ContainerSpec(
            image=properties.image,
            entrypoint=entrypoint,
            command=(*before, *context.args),
            warnings=warnings,
        )
    return ContainerSpec(
        image=properties.image,
        entrypoint=entrypoint or "/bin/sh",
        command=(*before, *shell_command([*context.setup, *lines])),
        warnings=warnings,
    )


def _lines(properties: Properties, context: ProviderContext) -> list[str]:
    if properties.commands:
        context.refuse_args()
        return properties.commands
    if properties.file:
        return [shlex.join(["python3", properties.file, *context.args])]
    return []


def _entrypoint(text: str | None) -> tuple[str | None, tuple[str, ...]]:
    """The program, and the arguments that go before the command."""
    if text is None:
        return None, ()
    try:
        program, *arguments = shlex.split(text)
    except ValueError:
        raise InputError(f"'entrypoint' is not a command line: {text}") from None
    return program, tuple(arguments)


def _warnings(properties: Properties, context: ProviderContext) -> tuple[str, ...]:
    found = []
    if properties.commands and properties.file:
        found.append("'file' is not run, because there are 'commands'")
    if context.version and not _has_version(properties.image, context.version):
        found.append(
            f"'version: {context.version}' changes nothing: the Python is the one that "
            f"the image {properties.image} brings"
        )
    return tuple(found)


def _has_version(image: str, version: str) -> bool:
    """Whether the image's tag names that version, or one more exact or less."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    named = _VERSION_IN_TAG.findall(tag)
    return any(
        f"{one}.".startswith(f"{version}.") or f"{version}.".startswith(f"{one}.") for one in named
    )
