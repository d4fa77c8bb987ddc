"""What a job takes to its machine and nobody writes down: secrets, and the caller's environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dstack_cloud.errors import InputError, NotFoundError
from dstack_cloud.lifecycle.record import RunRecord
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.workflow.variables import fill, secret_names


@dataclass(frozen=True)
class Private:
    """``environment`` are variables of the container, ``masks`` texts to be hidden in its log;
    ``registry`` is the login for the image's registry, nothing where there is none."""

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    masks: Sequence[str] = field(default=(), repr=False)
    registry: Mapping[str, str] = field(default_factory=dict, repr=False)


def private_of(tools: Tools, record: RunRecord, environ: Mapping[str, str]) -> Private:
    """The values that the run's record leaves to the caller's environment and to secrets, as they
    are now.

    Raises InputError and NotFoundError for those that are not there.
    """
    missing = [name for name in record.private if name not in environ]
    if missing:
        raise InputError(
            f"{record.run} took {', '.join(missing)} from the environment that it was started "
            "in, and this one does not have it: another attempt cannot be started here",
            "set it and attach again, or attach where the run was started",
        )
    environment = {name: environ[name] for name in record.private}
    if not record.secrets:
        return Private(environment)
    values = tools.secrets(record.secrets)
    require_all(values, record.secrets, tools.cloud.name)
    templates = record.container.secret_environment
    filled = {name: fill(template, values) for name, template in templates.items()}
    inside = {name for template in templates.values() for name in secret_names(template)}
    login = record.container.registry_auth
    return Private(
        {**environment, **filled},
        # What never reaches the container cannot come out of it, and is not kept on the machine.
        tuple(value for name, value in values.items() if name in inside),
        {key: fill(template, values) for key, template in login.items()},
    )


def require_all(values: Mapping[str, str], names: Sequence[str], cloud: str) -> None:
    """NotFoundError for the secrets that have no value on a cloud."""
    missing = [name for name in names if name not in values]
    if missing:
        raise NotFoundError(absent(missing[0], cloud), how_to_set(missing, cloud))


def absent(name: str, cloud: str) -> str:
    """That a secret is not there, in words."""
    return f"the secret '{name}' does not exist on {cloud}"


def how_to_set(names: Sequence[str], cloud: str) -> str:
    """The commands that make secrets."""
    return "\n".join(f"dstack-cloud secrets set {name} --cloud {cloud}" for name in names)
