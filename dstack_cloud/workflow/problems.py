"""What pydantic found wrong, in the words of who wrote the file, and where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from dstack_cloud.errors import InputError
from dstack_cloud.nearest import did_you_mean, nearest
from dstack_cloud.workflow.types import InsideError, kind_of
from dstack_cloud.yaml_lines import Node

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

# Keys that other versions of such files had, where looking alike does not lead to the right one.
_RENAMED = {"python": "version"}
_EXPECTED = {
    "string_type": "a text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}


def from_validation(
    error: ValidationError,
    model: type[BaseModel],
    node: Node,
    workflow: str,
    aliases: Mapping[str, str],
) -> list[InputError]:
    """Every problem of a workflow's entry.

    ``aliases`` maps a key as the model knows it to the one that the file used.
    """
    return [
        _one(detail, model, node, workflow, aliases)
        for detail in error.errors()
        if detail["type"] != "missing" or not _mistyped(detail["loc"], model, node)
    ]


def _mistyped(loc: tuple[str | int, ...], model: type[BaseModel], node: Node) -> bool:
    """Whether a missing key is there under a wrong name, which is told as an unknown key."""
    present = node.at(loc[:-1]).data
    known = fields_at(model, loc[:-1])
    strange = [key for key in present if key not in known] if isinstance(present, dict) else []
    return any(nearest(key, known, 1) == [loc[-1]] for key in strange)


def _one(
    detail: ErrorDetails,
    model: type[BaseModel],
    node: Node,
    workflow: str,
    aliases: Mapping[str, str],
) -> InputError:
    kind, loc = detail["type"], detail["loc"]
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, InsideError):
        loc = (*loc, *cause.path)
    path = (aliases.get(str(loc[0]), loc[0]), *loc[1:]) if loc else ()
    if kind == "extra_forbidden":
        known = fields_at(model, loc[:-1])
        return unknown_key(str(path[-1]), path[:-1], known, node, workflow)
    if kind == "missing":
        where = f"in {_spelled(path[:-1])} of" if path[:-1] else "in"
        return node.error(f"'{path[-1]}' is missing {where} workflow '{workflow}'", path=path[:-1])
    if cause is not None:
        problem = str(cause)
    elif kind in _EXPECTED:
        problem = f"must be {_EXPECTED[kind]}, not {kind_of(detail['input'])}"
    elif kind in ("string_too_short", "too_short"):
        problem = "cannot be empty"
    else:
        problem = detail["msg"][:1].lower() + detail["msg"][1:]
    # '- echo key: value' is a mapping to YAML.
    is_trap = kind == "string_type" and isinstance(detail["input"], dict)
    hint = "put the text in quotes if it holds a colon" if is_trap else None
    return node.error(f"{_spelled(path)}: {problem}" if path else problem, hint, path=path)


def unknown_key(
    key: str, path: tuple[str | int, ...], known: Iterable[str], node: Node, workflow: str
) -> InputError:
    """The error for a key that nobody knows, with the nearest one that somebody does."""
    known = sorted(known)
    renamed = _RENAMED.get(key)
    guess = f"; did you mean '{renamed}'?" if renamed in known else did_you_mean(key, known)
    where = f"in {_spelled(path)} of" if path else "in"
    return node.error(
        f"unknown key '{key}' {where} workflow '{workflow}'{guess}",
        None if guess else f"known keys: {', '.join(known)}",
        path=(*path, key),
        key=True,
    )


def fields_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """The keys that ``model`` knows at ``loc``."""
    for step in loc:
        if isinstance(step, str) and step in model.model_fields:
            model = _model_in(model.model_fields[step].annotation) or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _spelled(path: tuple[str | int, ...]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return f"'{text.lstrip('.')}'"


def combined(problems: list[InputError]) -> InputError:
    """One error that tells all of them, one a line; its place is the first one's."""
    first, *rest = problems
    if not rest:
        return first
    hints = list(dict.fromkeys(problem.hint for problem in problems if problem.hint))
    return InputError(
        "\n".join([first.message, *(str(problem) for problem in rest)]),
        "; ".join(hints) or None,
        file=first.file,
        line=first.line,
        column=first.column,
    )
