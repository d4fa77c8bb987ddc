"""The workflow file's own keys, as typed models. A provider adds its own (see `providers`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from dstack_cloud.resources import GpuRequest, ResourceRequest
from dstack_cloud.spec import TOKEN
from dstack_cloud.workflow import variables
from dstack_cloud.workflow.access import checked
from dstack_cloud.workflow.gpu import parse_gpu
from dstack_cloud.workflow.types import (
    ArtifactPath,
    Count,
    Duration,
    Fallback,
    Flag,
    Grace,
    InsideError,
    Money,
    Name,
    Port,
    RelativePath,
    Size,
    Tag,
    Version,
    WorkingDir,
    kind_of,
)

# Older spellings and shorter ones; the models know only the names on the right.
ALIASES = {"env": "environment", "setup": "before_run"}
# The keys whose values may have secrets in them.
_WITH_SECRETS = ("environment", "registry_auth")
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SET_BY_US = {"DSTACK_RUN", "DSTACK_ATTEMPT", "DSTACK_RESUMED", "DSTACK_PROGRESS_FILE", TOKEN}


class Model(BaseModel):
    """Keys that are not declared are errors; values do not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Gpu(Model):
    """``gpu`` in its long form; the short ones become it."""

    count: Count = Field(default=1, description="How many GPUs.")
    name: str | None = Field(default=None, description="The model, e.g. A100; any if not given.")
    memory: Size | None = Field(
        default=None, description="Memory of each GPU, at least, e.g. 16GB."
    )


def _gpu(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    request = parse_gpu(value)
    return request and {"count": str(request.count), "name": request.name}


class Resources(Model):
    """What the machine must have, at least."""

    cpu: Count | None = Field(default=None, description="CPU cores.")
    memory: Size | None = Field(default=None, description="Main memory, e.g. 16GB.")
    gpu: Annotated[Gpu | None, BeforeValidator(_gpu)] = Field(default=None, description="GPUs.")
    disk: Size | None = Field(default=None, description="The machine's disk, e.g. 200GB.")
    shm_size: Size | None = Field(default=None, description="Shared memory (/dev/shm), e.g. 8GB.")
    interruptible: Flag | None = Field(default=None, description="Whether a spot machine will do.")
    fallback: Fallback | None = Field(
        default=None, description="on-demand: take such a machine where no spot one is to be had."
    )
    on_demand_after: Duration | None = Field(
        default=None, description="How long to look for a spot machine before that, e.g. 10m."
    )

    @model_validator(mode="after")
    def _spot_first(self) -> Resources:
        for key in ("fallback", "on_demand_after"):
            if getattr(self, key) is not None and not self.interruptible:
                raise InsideError("has a meaning only with 'interruptible: true'", key)
        return self

    def request(self, max_price: Decimal | None) -> ResourceRequest:
        """The same as plain values."""
        gpu = self.gpu
        return ResourceRequest(
            cpu=self.cpu,
            memory=self.memory,
            gpu=GpuRequest(gpu.count, gpu.name, gpu.memory) if gpu else None,
            disk=self.disk,
            shm_size=self.shm_size,
            interruptible=bool(self.interruptible),
            max_price=max_price,
        )


def _kept_elsewhere(text: str) -> str:
    """The file is stored with the code: what it says is no secret."""
    if "secrets." not in text:
        raise ValueError(
            "must be a secret, since the file is stored with the code: "
            "dstack-cloud secrets set NAME, then write ${{ secrets.NAME }}"
        )
    return text


class Artifact(Model):
    """A folder to keep."""

    path: ArtifactPath = Field(description="The folder, relative to the working directory.")
    mount: Flag | None = Field(default=None, description="Save it while the workflow runs.")


class Dependency(Model):
    """Artifacts of another run: of a workflow's latest successful one, or of a tagged one."""

    workflow: Name | None = Field(default=None, description="The name of a workflow.")
    tag: Tag | None = Field(default=None, description="The name of a tag.")

    @model_validator(mode="after")
    def _one(self) -> Dependency:
        if (self.workflow is None) == (self.tag is None):
            raise ValueError("name either a workflow or a tag")
        return self


class Retry(Model):
    """When to start again, how often, and for how long."""

    on: list[str] | None = Field(
        default=None,
        description="interruption, rebalance, no-capacity, and exit codes of the container.",
    )
    attempts: Count | None = Field(default=None, description="Attempts in all, at most.")
    within: Duration | None = Field(
        default=None, description="Since the run was submitted, e.g. 6h."
    )

    @model_validator(mode="after")
    def _known(self) -> Retry:
        for index, reason in enumerate(self.on or []):
            is_code = re.fullmatch(r"[0-9]{1,3}", reason) and 1 <= int(reason) <= 255
            if reason not in ("interruption", "rebalance", "no-capacity") and not is_code:
                raise InsideError(
                    f"'{reason}' is not interruption, rebalance, no-capacity or an exit code "
                    "(1 to 255)",
                    "on",
                    index,
                )
        return self


class RegistryAuth(Model):
    """How to sign in at the registry that the image is in."""

    username: str = Field(min_length=1, description="The user's name there.")
    password: Annotated[str, AfterValidator(_kept_elsewhere)] = Field(
        description="The password or token: a secret."
    )


@dataclass(frozen=True)
class Variable:
    """One environment variable; ``value`` None takes the caller's. ``path`` leads to it."""

    name: str
    value: str | None
    path: tuple[str | int, ...]


def _environment(value: Any) -> Any:
    """Both spellings as one: a list of `Variable`."""
    found: dict[str, Variable] = {}
    if isinstance(value, dict):
        items = [(Variable(name, text, (name,)), (name,)) for name, text in value.items()]
    elif isinstance(value, list):
        items = []
        for index, line in enumerate(value):
            if not isinstance(line, str):
                raise InsideError(f"must be NAME=value or NAME, not {kind_of(line)}", index)
            name, equals, text = line.partition("=")
            items.append((Variable(name, text if equals else None, (index,)), (index,)))
    else:
        raise ValueError("must be a list of NAME=value, or a mapping")
    for variable, path in items:
        name = variable.name
        if not _ENVIRONMENT_NAME.fullmatch(name):
            raise InsideError(f"'{name}' is not a name for an environment variable", *path)
        if name in _SET_BY_US:
            raise InsideError(f"'{name}' is set by dstack-cloud itself", *path)
        if name in found:
            raise InsideError(f"'{name}' is here twice", *path)
        if variable.value is not None and not isinstance(variable.value, str):
            raise InsideError(f"must be a text, not {kind_of(variable.value)}", *path)
        if "\0" in (variable.value or ""):
            raise InsideError("cannot hold a NUL character", *path)
        found[name] = variable
    return list(found.values())


def _artifacts(value: Any) -> Any:
    """A plain text stands for ``{path: text}``."""
    if not isinstance(value, list):
        return value
    return [{"path": item} if isinstance(item, str) else item for item in value]


def _dependencies(value: Any) -> Any:
    """``name`` stands for a workflow, ``:name`` for a tag."""
    if not isinstance(value, list):
        return value
    return [
        ({"tag": item[1:]} if item.startswith(":") else {"workflow": item})
        if isinstance(item, str)
        else item
        for item in value
    ]


def _distinct(artifacts: list[Artifact]) -> list[Artifact]:
    seen: set[str] = set()
    for index, artifact in enumerate(artifacts):
        if artifact.path in seen:
            raise InsideError(f"'{artifact.path}' is here twice", index)
        seen.add(artifact.path)
    return artifacts


class Common(Model):
    """The keys that every provider takes."""

    name: Name = Field(description="What to call the workflow.")
    provider: str = Field(description="What runs it: docker, bash, …")
    before_run: list[str] | None = Field(
        default=None, description="Shell commands to run first, in the container."
    )
    requirements: RelativePath | None = Field(
        default=None, description="A requirements.txt to install with pip before the commands."
    )
    version: Version | None = Field(default=None, description="The version of Python, e.g. 3.10.")
    environment: Annotated[list[Variable], BeforeValidator(_environment)] | None = Field(
        default=None,
        description="Environment variables: NAME=value, or NAME for the caller's value.",
    )
    registry_auth: RegistryAuth | None = Field(
        default=None, description="How to sign in for a private image."
    )
    cloud_access: Annotated[str, AfterValidator(checked)] | None = Field(
        default=None,
        description="The AWS role or Google service account whose credentials the container gets.",
    )
    working_dir: WorkingDir | None = Field(
        default=None, description="Where to run, relative to the repository."
    )
    ports: list[Port] | None = Field(default=None, description="Ports of the container to forward.")
    artifacts: (
        Annotated[list[Artifact], BeforeValidator(_artifacts), AfterValidator(_distinct)] | None
    ) = Field(default=None, description="The folders to keep.")
    deps: Annotated[list[Dependency], BeforeValidator(_dependencies)] | None = Field(
        default=None, description="Whose artifacts to bring in."
    )
    resources: Resources | None = Field(default=None, description="What the machine must have.")
    retry: Retry | None = Field(default=None, description="When to start again.")
    grace: Grace | None = Field(
        default=None, description="Time between SIGTERM and SIGKILL when the container is stopped."
    )
    max_duration: Duration | None = Field(default=None, description="End the run after this long.")
    max_price: Money | None = Field(
        default=None, description="USD an hour that a machine may cost."
    )
    max_cost: Money | None = Field(
        default=None, description="USD that all attempts may cost together."
    )
    wait: Duration | None = Field(
        default=None,
        description="How long to look for a machine where none is to be had, e.g. 30m.",
    )
    deadline: Duration | None = Field(
        default=None, description="When the work must be done, e.g. 36h."
    )
    duration: Duration | None = Field(
        default=None, description="How long the work takes, e.g. 20h."
    )


def check_variables(key: str, value: Any, path: tuple[str | int, ...] = ()) -> set[str]:
    """The ``${{ … }}`` names in the texts under ``key``. InsideError for one out of place.

    They may stand in the values of ``environment`` and ``registry_auth`` (secrets there only), in
    ``before_run``, and in a provider's own keys.
    """
    used: set[str] = set()
    if isinstance(value, dict):
        for inner, item in value.items():
            used |= check_variables(key, item, (*path, inner))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            used |= check_variables(key, item, (*path, index))
    elif isinstance(value, str) and "${{" in value:
        if key in Common.model_fields and key not in (*_WITH_SECRETS, "before_run"):
            raise InsideError(f"variables like ${{{{ … }}}} cannot be used in '{key}'", *path)
        try:
            used |= variables.check(
                value, secrets=key in _WITH_SECRETS, shell=key in ("before_run", "commands", "args")
            )
        except ValueError as error:
            raise InsideError(str(error), *path) from None
        if key == "args" and path and variables.RUN_ARGS in used:
            # An item is one argument, and this may be any number.
            raise InsideError("${{ run.args }} needs 'args' to be one text, not a list", *path)
    return used
