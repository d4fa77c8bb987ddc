"""One entry of a workflow file, read and validated whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from dstack_cloud.errors import InputError
from dstack_cloud.workflow.models import ALIASES, Common, check_variables
from dstack_cloud.workflow.problems import from_validation, unknown_key
from dstack_cloud.workflow.providers import Provider, load_provider
from dstack_cloud.workflow.types import InsideError
from dstack_cloud.workflow.workflow import Workflow
from dstack_cloud.yaml_lines import Node


class InvalidWorkflow(Exception):
    """All that is wrong with one workflow, in the order of the file."""

    def __init__(self, problems: list[InputError]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = sorted(problems, key=lambda one: (one.line or 0, one.column or 0))


def read_workflow(entry: Node, root: Path) -> Workflow:
    """The workflow that an entry of the list describes, in the repository at ``root``.

    Raises InvalidWorkflow.
    """
    if not isinstance(entry.data, dict):
        raise InvalidWorkflow([entry.error("a workflow must be a mapping, like '- name: train'")])
    problems: list[InputError] = []
    values, written = _renamed(entry, entry.data, problems)
    title = str(values.get("name") or "without a name")
    provider = _provider(entry, values, root, problems)
    own = list(provider.properties.model_fields) if provider else []
    if provider:
        # Without the provider its keys cannot be told from mistakes.
        known = [*Common.model_fields, *own, *ALIASES]
        unknown = [key for key in values if key not in known]
        problems += [unknown_key(key, (), known, entry, title) for key in unknown]
    used = _variables(entry, values, written, own, problems)
    raw = {key: value for key, value in values.items() if key in own}
    fields = {key: value for key, value in values.items() if key in Common.model_fields}

    def validated(model: type[BaseModel], part: Mapping[str, Any]) -> BaseModel | None:
        try:
            return model.model_validate(part)
        except ValidationError as error:
            problems.extend(from_validation(error, model, entry, title, written))
            return None

    common = validated(Common, fields)
    if provider:
        validated(provider.properties, raw)
    if problems:
        raise InvalidWorkflow(problems)
    assert isinstance(common, Common)
    assert provider is not None
    return Workflow(common, provider, raw, used, entry, written)


def _renamed(
    entry: Node, data: Mapping[str, Node], problems: list[InputError]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The entry's values by the models' names of the keys; and the names the file uses."""
    values: dict[str, Any] = {}
    written: dict[str, str] = {}
    for key, node in data.items():
        name = ALIASES.get(key, key)
        if name in values:
            message = f"'{key}' and '{written[name]}' are two names for the same; keep one"
            problems.append(entry.error(message, path=(key,), key=True))
            continue
        values[name], written[name] = _texts(node), key
    return values, written


def _texts(node: Node) -> Any:
    """Scalars as they were written, None where nothing was."""
    if isinstance(node.data, dict):
        return {key: _texts(value) for key, value in node.data.items()}
    if isinstance(node.data, list):
        return [_texts(item) for item in node.data]
    return None if node.data is None else node.text


def _provider(
    entry: Node, values: Mapping[str, Any], root: Path, problems: list[InputError]
) -> Provider | None:
    name = values.get("provider")
    if not isinstance(name, str):
        return None  # The model says what is wrong with it.
    try:
        return load_provider(name, root)
    except InputError as error:
        problems.append(entry.error(error.message, error.hint, path=("provider",)))
        return None


def _variables(
    entry: Node,
    values: Mapping[str, Any],
    written: Mapping[str, str],
    own: list[str],
    problems: list[InputError],
) -> frozenset[str]:
    used: set[str] = set()
    for key, value in values.items():
        if key not in own and key not in Common.model_fields:
            continue
        try:
            used |= check_variables(key, value)
        except InsideError as error:
            problems.append(entry.error(str(error), path=(written[key], *error.path)))
    return frozenset(used)
