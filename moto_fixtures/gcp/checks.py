"""Requests and answers held against Google's published schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto_fixtures.gcp.call import Call, GcpError
from moto_fixtures.gcp.discovery import Method
from moto_fixtures.gcp.schema import problems

# Spellings of the parameters that every method takes: cloud.google.com/apis/docs/system-parameters.
_ALWAYS = {"alt", "$alt", "fields", "$fields", "prettyPrint", "key", "quotaUser", "userProject"}


class NotAsPublished(Exception):
    """An answer of the emulator's that Google's schema does not allow: a mistake in it."""


def check_request(method: Method, call: Call) -> None:
    """GcpError 400 for an unknown parameter or field, or a value that is not of its type."""
    found: list[str] = []
    for name, value in call.query.items():
        schema = method.parameters.get(name)
        if schema is not None:
            found += _parameter(name, value, schema)
        elif name not in _ALWAYS:
            found.append(
                f"Unknown name \"{name}\": Cannot bind query parameter. Field '{name}' could not "
                "be found in request message."
            )
    if method.request is None:
        if call.body is not None and call.body != {}:
            found.append("the method takes no body")
    elif call.body is not None:
        found += problems(call.body, method.request, method.schemas)
    if found:
        raise GcpError(400, "badRequest", "Invalid JSON payload received. " + "; ".join(found))


def _parameter(name: str, value: str, schema: Mapping[str, Any]) -> list[str]:
    kind = schema.get("type", "string")
    if kind == "integer" and not value.lstrip("-").isdigit():
        return [f"Invalid value at '{name}' (integer), {value!r}"]
    if kind == "boolean" and value.lower() not in ("true", "false"):
        return [f"Invalid value at '{name}' (boolean), {value!r}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"Invalid value at '{name}' (one of {', '.join(schema['enum'])}), {value!r}"]
    return []


def check_answer(method: Method, value: Any) -> None:
    """Raise NotAsPublished where the answer is not what the method answers."""
    found = (
        []
        if method.response is None
        else problems(value, method.response, method.schemas, answer=True)
    )
    if found:
        raise NotAsPublished(f"{method.id}: " + "; ".join(found))


def chosen(value: Any, fields: str) -> Any:
    """What a ``fields`` parameter lets through: ``items(name,zone),nextPageToken``, ``a/b``, ``*``.

    developers.google.com/compute/docs/api/performance#partial-response
    """
    mask, rest = _mask(fields)
    if rest:
        raise GcpError(400, "invalidParameter", f"Invalid field selection {rest}")
    return _masked(value, mask)


_Mask = dict[str, Any]


def _mask(text: str) -> tuple[_Mask, str]:
    found: _Mask = {}
    while True:
        name = ""
        while text and text[0] not in ",()/":
            name, text = name + text[0], text[1:]
        name = name.strip()
        below: _Mask = {}
        if text[:1] == "/":
            # Down one path only: what follows belongs to it up to the next comma.
            below, text = _one(text[1:])
        elif text[:1] == "(":
            below, text = _mask(text[1:])
            if text[:1] != ")":
                return found, text or "("
            text = text[1:]
        if not name:
            return found, text or ","
        found[name] = below
        if text[:1] != ",":
            return found, text
        text = text[1:]


def _one(text: str) -> tuple[_Mask, str]:
    name = ""
    while text and text[0] not in ",()/":
        name, text = name + text[0], text[1:]
    below: _Mask = {}
    if text[:1] == "/":
        below, text = _one(text[1:])
    elif text[:1] == "(":
        below, text = _mask(text[1:])
        text = text[1:]
    return {name.strip(): below}, text


def _masked(value: Any, mask: _Mask) -> Any:
    if not mask:
        return value
    if isinstance(value, list):
        return [_masked(one, mask) for one in value]
    if not isinstance(value, dict):
        return value
    if "*" in mask:
        return {key: _masked(one, mask["*"]) for key, one in value.items()}
    return {key: _masked(value[key], below) for key, below in mask.items() if key in value}
