"""The container spec: what a provider makes of a workflow, and what the machine runs.

A provider is a module with two names: ``Properties``, a pydantic model of its own keys of the
workflow file, and ``container(properties, context) -> ContainerSpec``, a pure function. How to
write one is in ``docs/providers.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dstack_cloud.errors import InputError

WORKING_DIR = "/workflow"
RUNS_DIR = "/runs"
"""Where the container finds the runs that it is shown: see `ContainerSpec.shown_runs`."""
TOKEN = "DSTACK_TOKEN"
"""The container's variable with the token that its pages ask for: see `ContainerSpec.pages`."""


class PropertyError(InputError):
    """What a provider finds wrong with one of the workflow's keys: told at the key's own line."""

    def __init__(self, key: str, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.key = key


@dataclass(frozen=True)
class ProviderContext:
    """What a provider may know besides its own properties.

    ``args`` are the command line's that no ``${{ run.args }}`` has taken: a provider that has no
    use for them calls `refuse_args`. ``setup`` are shell commands to run first in the container
    (``before_run`` and ``requirements``); ``version`` is the Python version the workflow names.
    ``gpus`` is how many are asked for; ``default_image`` is the configuration's, if it sets one.
    """

    run: str
    args: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    version: str | None = None
    gpus: int = 0
    default_image: str | None = None

    def refuse_args(self, what: str = "the commands do") -> None:
        """InputError where there are arguments, because ``what`` not use them."""
        if self.args:
            raise InputError(
                f"{what} not use the arguments that were given",
                "write ${{ run.args }} where they belong",
            )


@dataclass(frozen=True)
class ArtifactSpec:
    """A folder to keep: its path below the working directory; ``mount`` saves it continuously."""

    path: str
    mount: bool = False


@dataclass(frozen=True)
class ContainerSpec:
    """What the machine runs.

    ``entrypoint`` None keeps the image's own; ``command`` empty keeps the image's own.
    ``working_dir`` is absolute, in the container. ``shm_size`` is bytes, None for Docker's
    default. ``ports`` are the container's TCP ports to forward to the caller. ``pages`` are what a
    browser opens at a port, path and query; ``{token}`` in one stands for a token that is made for
    each attempt and that the container finds in the variable `TOKEN`.
    ``nodes`` machines run the same container at once, on the machines' own network.
    ``secret_environment`` are values with ``${{ secrets.NAME }}`` in them, to be filled in when
    the job is sent to the machine and nowhere else (`dstack_cloud.workflow.variables.fill`);
    ``registry_auth``, too: ``username`` and ``password`` for the image's registry, or nothing.
    ``shown_runs`` are names of runs, or of workflows (their latest run): what these have in the
    store is in `RUNS_DIR`, a folder for each, read-only, and renewed as more arrives;
    ``shown_files`` are patterns of file names to which that is limited.
    """

    image: str
    entrypoint: str | None = None
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    secret_environment: Mapping[str, str] = field(default_factory=dict)
    registry_auth: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = WORKING_DIR
    shm_size: int | None = None
    ports: tuple[int, ...] = ()
    pages: Mapping[int, str] = field(default_factory=dict)
    shown_runs: tuple[str, ...] = ()
    shown_files: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    nodes: int = 1


def shell_command(commands: Sequence[str]) -> tuple[str, ...]:
    """Arguments for ``sh`` or ``bash``: run ``commands`` in one shell, stop at the first failure.

    A shell that waits for a foreground command acts on a trap only when that command has ended.
    So on SIGTERM (sent to the whole process group) the command gets its grace period, and
    nothing after it is started.
    """
    return ("-c", "\n".join(["trap 'exit 143' TERM", "set -e", *commands]))
