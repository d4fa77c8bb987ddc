"""Which module stands behind a provider's name.

Those that ship are in a table; a user's own is a file in ``.dstack/providers/`` or comes with an
installed package. Packages are scanned for a name that is neither: start-up is a feature.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import TYPE_CHECKING, Any

from dstack_cloud.errors import InputError
from dstack_cloud.nearest import did_you_mean
from dstack_cloud.spec import ContainerSpec, ProviderContext

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

MODULES = {
    name: f"dstack_cloud_providers.{name}"
    for name in ("bash", "code", "docker", "lab", "notebook", "python", "tensorboard", "torchrun")
}
FOLDER = ".dstack/providers"
ENTRY_POINTS = "dstack_cloud.providers"


@dataclass(frozen=True)
class Provider:
    """A provider: its model of the workflow's own keys, and the module that it comes from.

    ``source`` is where a user's own provider is, for words; None for one that ships.
    """

    name: str
    module: ModuleType
    source: str | None = None

    @property
    def properties(self) -> type[BaseModel]:
        model: type[BaseModel] = self.module.Properties
        return model

    def container(self, values: Mapping[str, Any], context: ProviderContext) -> ContainerSpec:
        """What the machine runs. InputError for what the provider refuses, or fails at."""
        properties = self.properties.model_validate(values)
        if self.source is None:
            spec: ContainerSpec = self.module.container(properties, context)
            return spec
        try:
            made = self.module.container(properties, context)
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            raise _failed(self.name, self.source, error) from error
        if not isinstance(made, ContainerSpec):
            raise InputError(
                f"the provider '{self.name}' ({self.source}) answered {type(made).__name__}",
                "its container() must answer a dstack_cloud.spec.ContainerSpec",
            )
        return made


def load_provider(name: str, root: Path) -> Provider:
    """The provider called ``name`` in the repository at ``root``.

    InputError for one that is not known, or that cannot be loaded.
    """
    if name in MODULES:
        return Provider(name, import_module(MODULES[name]))
    file = root / FOLDER / f"{name}.py"
    if name.isidentifier() and file.is_file():
        return _from_file(name, file)
    installed = _installed()
    if name in installed:
        source = f"installed: {installed[name].value}"
        try:
            module = installed[name].load()
        except (Exception, SystemExit) as error:
            raise _failed(name, source, error) from error
        return _checked(Provider(name, module, source))
    own = sorted(path.stem for path in (root / FOLDER).glob("*.py"))
    known = [*MODULES, *own, *sorted(installed)]
    guess = did_you_mean(name, known)
    raise InputError(f"unknown provider '{name}'{guess}", f"providers: {', '.join(known)}")


def _installed() -> Mapping[str, Any]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def _from_file(name: str, file: Path) -> Provider:
    source = f"{FOLDER}/{file.name}"
    # Not a name that an installed package could have; pydantic looks models' modules up there.
    spec = spec_from_file_location(f"_dstack_cloud_provider_{name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    # The user's repository stays as it is.
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _failed(name, source, error) from error
    finally:
        sys.dont_write_bytecode = writes
    return _checked(Provider(name, module, source))


def _checked(provider: Provider) -> Provider:
    from pydantic import BaseModel

    model = getattr(provider.module, "Properties", None)
    lacking = []
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        lacking.append("a pydantic model called Properties")
    if not callable(getattr(provider.module, "container", None)):
        lacking.append("a function container(properties, context)")
    if lacking:
        raise InputError(
            f"the provider '{provider.name}' ({provider.source}) lacks {' and '.join(lacking)}",
            "docs/providers.md has a complete example",
        )
    return provider


def _failed(name: str, source: str, error: BaseException) -> InputError:
    """A user's own provider raised: what, and in which line of which file."""
    words = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError) and error.filename:
        return InputError(f"the provider '{name}' ({source}:{error.lineno}) failed: {words}")
    frames = extract_tb(error.__traceback__)
    inside = [one for one in frames if one.filename.endswith(f"/{source}")]
    last = frames[-1]
    place = f"{source}, {Path(last.filename).name}:{last.lineno}"
    if inside:
        place = f"{source}:{inside[-1].lineno}"
    return InputError(f"the provider '{name}' ({place}) failed: {words}")
