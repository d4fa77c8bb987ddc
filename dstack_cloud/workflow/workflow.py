"""One workflow, validated: what it asks for, and the container it becomes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from dstack_cloud import retry as retries
from dstack_cloud.errors import InputError
from dstack_cloud.nearest import did_you_mean
from dstack_cloud.resources import ResourceRequest
from dstack_cloud.retry import Retry
from dstack_cloud.spec import (
    WORKING_DIR,
    ArtifactSpec,
    ContainerSpec,
    PropertyError,
    ProviderContext,
)
from dstack_cloud.workflow import variables
from dstack_cloud.workflow.access import cloud_of
from dstack_cloud.workflow.image import problem_of
from dstack_cloud.workflow.models import Common, Resources
from dstack_cloud.workflow.problems import combined
from dstack_cloud.workflow.providers import Provider
from dstack_cloud.yaml_lines import Node

DEFAULT_GRACE = 30
# Where the store has what nodes 1 and up leave: see `machine.agent.folders`.
_OF_A_NODE = re.compile(r"node-[1-9][0-9]*(/|$)")


@dataclass(frozen=True)
class Workflow:
    """A workflow of the file. Sizes are bytes, durations seconds, money USD.

    ``raw`` are the provider's own keys as written; ``variables`` the names that ``${{ … }}`` uses
    anywhere in the workflow.
    """

    common: Common
    provider: Provider
    raw: Mapping[str, Any]
    variables: frozenset[str]
    node: Node
    aliases: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.common.name

    @property
    def request(self) -> ResourceRequest:
        """What to look for in the catalog; limits that only the command line gives are not in."""
        return (self.common.resources or Resources()).request(self.common.max_price)

    @property
    def artifacts(self) -> tuple[ArtifactSpec, ...]:
        return tuple(ArtifactSpec(a.path, bool(a.mount)) for a in self.common.artifacts or ())

    @property
    def dependencies(self) -> tuple[str, ...]:
        """Whose artifacts to bring in, in the file's order: a workflow's name, or ``:TAG``."""
        return tuple(
            one.workflow if one.workflow is not None else f":{one.tag}"
            for one in self.common.deps or ()
        )

    @property
    def grace(self) -> int:
        return DEFAULT_GRACE if self.common.grace is None else self.common.grace

    @property
    def max_duration(self) -> int | None:
        return self.common.max_duration

    @property
    def retry(self) -> Retry | None:
        """When to start again as the file says it; see `dstack_cloud.retry.default` for None."""
        asked = self.common.retry
        if asked is None:
            return None
        on = asked.on if asked.on is not None else [retries.INTERRUPTION]
        on = [str(int(cause)) if cause.isdigit() else cause for cause in on]
        if retries.REBALANCE in on:
            # Who leaves a machine on a warning does not end with one that is really taken.
            on.append(retries.INTERRUPTION)
        return Retry(tuple(dict.fromkeys(on)), asked.attempts, asked.within)

    @property
    def deadline(self) -> int | None:
        """Seconds after the submission by which the work must be done."""
        return self.common.deadline

    @property
    def duration(self) -> int | None:
        """Seconds that the work takes."""
        return self.common.duration

    @property
    def max_price(self) -> Decimal | None:
        return self.common.max_price

    @property
    def max_cost(self) -> Decimal | None:
        return self.common.max_cost

    @property
    def wait(self) -> int:
        """Seconds to go on looking where no machine is to be had."""
        return self.common.wait or 0

    @property
    def on_demand_after(self) -> int | None:
        """Seconds of looking for a spot machine before one on demand will do; None: never."""
        asked = self.common.resources or Resources()
        if asked.fallback is None and asked.on_demand_after is None:
            return None
        return asked.on_demand_after or 0

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets that the workflow needs, sorted."""
        found = (name for name in self.variables if name.startswith("secrets."))
        return tuple(sorted(name.removeprefix("secrets.") for name in found))

    @property
    def cloud_access(self) -> str | None:
        """The role or service account whose credentials the container gets; None for none."""
        return self.common.cloud_access

    def on_its_cloud(self, clouds: Sequence[str]) -> list[str]:
        """Those of the clouds that can give the container what `cloud_access` asks for.

        InputError where none of them can.
        """
        if self.cloud_access is None:
            return list(clouds)
        cloud = cloud_of(self.cloud_access)
        if cloud not in clouds:
            raise self.error_at(
                "cloud_access",
                f"'{self.cloud_access}' is of {cloud}, and the run would be on "
                f"{' or '.join(clouds)}",
                f"name one of that cloud, or run it with --cloud {cloud}",
            )
        return [cloud]

    def error_at(self, key: str, message: str, hint: str | None = None) -> InputError:
        """An error at one of the workflow's keys, for what shows only when a plan is made.

        ``key`` may be a path with dots: ``resources.gpu.name``, ``deps.0``.
        """
        path = tuple(int(part) if part.isdigit() else part for part in key.split("."))
        return self._error(message, path, hint=hint)

    def secret_error(self, secret: str, message: str, hint: str | None = None) -> InputError:
        """An error at the first variable that uses a secret, or the key of a login that does."""
        for variable in self.common.environment or ():
            if secret in variables.secret_names(variable.value or ""):
                return self._error(message, ("environment", *variable.path), hint=hint)
        login = self.common.registry_auth
        for key, value in (login.model_dump() if login else {}).items():
            if secret in variables.secret_names(value):
                return self._error(message, ("registry_auth", key), hint=hint)
        return self._error(message, ("environment",), hint=hint)

    def container(
        self,
        run: str,
        args: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        default_image: str | None = None,
    ) -> ContainerSpec:
        """What the machine runs. ``environ`` is the caller's environment. Pure.

        InputError, with the place in the file, for a variable that is not set, arguments that
        nothing uses, what the provider finds wrong, and artifacts where another node's would go.
        """
        common = self.common
        plain, secret = self._environment(run, args, environ or {})
        setup = [variables.expand(line, run, args) for line in common.before_run or ()]
        if common.requirements:
            setup.append(f"python3 -m pip install -r {shlex.quote(common.requirements)}")
        context = ProviderContext(
            run=run,
            args=() if variables.RUN_ARGS in self.variables else tuple(args),
            setup=tuple(setup),
            version=common.version,
            gpus=self.request.gpu.count if self.request.gpu else 0,
            default_image=default_image,
        )
        try:
            spec = self.provider.container(_expanded(self.raw, run, args), context)
        except PropertyError as error:
            raise self._error(error.message, (error.key,), hint=error.hint, key=True) from None
        except InputError as error:
            raise self._error(error.message, hint=error.hint) from None
        wrong = problem_of(spec.image)
        if wrong is not None:
            raise self._error(
                wrong, ("image",), hint="write it like ubuntu:24.04 or ghcr.io/owner/name:tag"
            )
        if spec.nodes > 1:
            self._keep_off_other_nodes()
        login = common.registry_auth.model_dump() if common.registry_auth else {}
        where = f"{WORKING_DIR}/{common.working_dir or '.'}".removesuffix("/.")
        return replace(
            spec,
            environment={**spec.environment, **plain},
            secret_environment={**spec.secret_environment, **secret},
            registry_auth={
                key: variables.expand_but_secrets(value, run, args) for key, value in login.items()
            },
            working_dir=where,
            shm_size=self.request.shm_size or spec.shm_size,
            ports=tuple(dict.fromkeys((*spec.ports, *(common.ports or ())))),
        )

    def _keep_off_other_nodes(self) -> None:
        for index, artifact in enumerate(self.artifacts):
            if _OF_A_NODE.match(artifact.path):
                raise self._error(
                    f"'{artifact.path}' is where another node's artifacts are kept",
                    ("artifacts", index),
                    hint="write to a folder of another name: each node has its own",
                )

    def _environment(
        self, run: str, args: Sequence[str], environ: Mapping[str, str]
    ) -> tuple[dict[str, str], dict[str, str]]:
        plain: dict[str, str] = {}
        secret: dict[str, str] = {}
        problems = []
        for variable in self.common.environment or ():
            if variable.value is None:
                if variable.name in environ:
                    plain[variable.name] = environ[variable.name]
                    continue
                guess = did_you_mean(variable.name, environ)
                message = f"the environment variable '{variable.name}' is not set{guess}"
                path = ("environment", *variable.path)
                hint = "set it, or give it a value in the file"
                problems.append(self._error(message, path, hint=hint))
            elif variables.secret_names(variable.value):
                template = variables.expand_but_secrets(variable.value, run, args)
                secret[variable.name] = template
            else:
                plain[variable.name] = variables.expand(variable.value, run, args)
        if problems:
            raise combined(problems)
        return plain, secret

    def _error(
        self,
        message: str,
        path: tuple[str | int, ...] = (),
        *,
        hint: str | None = None,
        key: bool = False,
    ) -> InputError:
        if path:
            path = (self.aliases.get(str(path[0]), path[0]), *path[1:])
        return self.node.error(message, hint, path=path, key=key)


def _expanded(value: Any, run: str, args: Sequence[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _expanded(item, run, args) for key, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item, run, args) for item in value]
    return variables.expand(value, run, args) if isinstance(value, str) else value
