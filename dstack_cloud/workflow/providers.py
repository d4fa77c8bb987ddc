"""Which module stands behind a provider's name. A table, not a scan: start-up is a feature."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from dstack_cloud.errors import InputError
from dstack_cloud.nearest import did_you_mean
from dstack_cloud.spec import ContainerSpec, ProviderContext

if TYPE_CHECKING:
    from pydantic import BaseModel

MODULES = {
    "bash": "dstack_cloud_providers.bash",
    "docker": "dstack_cloud_providers.docker",
}
# Names that published workflow files use. A file may hold such a workflow; it cannot run yet.
PLANNED = ("code", "lab", "notebook", "python", "tensorboard", "torchrun")


class Provider(Protocol):
    """What a provider's module offers."""

    Properties: type[BaseModel]

    def container(self, properties: BaseModel, context: ProviderContext) -> ContainerSpec:
        """What the machine runs. Raises InputError, which gets the workflow's place."""
        ...


def load_provider(name: str) -> Provider | None:
    """The provider called ``name``; None where it is a planned one. InputError if unknown."""
    if name in MODULES:
        return cast(Provider, import_module(MODULES[name]))
    if name in PLANNED:
        return None
    guess = did_you_mean(name, (*MODULES, *PLANNED))
    raise InputError(f"unknown provider '{name}'{guess}", f"providers: {', '.join(MODULES)}")
