"""Whether a JSON value is what a schema of a discovery document says. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

Schemas = Mapping[str, Any]
# proto3's JSON: 64-bit numbers travel as strings; a request may send them as numbers as well.
_RANGES = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
_LONG = ("int64", "uint64")
_NUMBER = re.compile(r"-?[0-9]+")


def problems(value: Any, name: str, schemas: Schemas, *, answer: bool = False) -> list[str]:
    """What is wrong with a value, in words; none when it conforms to the schema called ``name``.

    With ``answer`` it is held to what a server sends, not to what one accepts.
    """
    found: list[str] = []
    _check(value, {"$ref": name}, schemas, "", answer, found)
    return found


def _check(
    value: Any, schema: Mapping[str, Any], schemas: Schemas, at: str, answer: bool, found: list[str]
) -> None:
    if "$ref" in schema:
        schema = schemas[schema["$ref"]]
    kind = schema.get("type", "any")
    if kind == "any":
        return
    if value is None:
        # proto3's JSON takes null for "not set"; no server sends it.
        if answer:
            found.append(f"null at '{at}'")
    elif kind == "object":
        _object(value, schema, schemas, at, answer, found)
    elif kind == "array":
        if not isinstance(value, list):
            found.append(f"'{at}' is to be a list")
            return
        for index, item in enumerate(value):
            _check(item, schema["items"], schemas, f"{at}[{index}]", answer, found)
    elif not _scalar(value, kind, schema, answer):
        words = schema.get("format") or kind
        if "enum" in schema:
            words = "one of " + ", ".join(schema["enum"])
        found.append(f"Invalid value at '{at}' ({words}), {value!r}")


def _object(
    value: Any, schema: Mapping[str, Any], schemas: Schemas, at: str, answer: bool, found: list[str]
) -> None:
    if not isinstance(value, dict):
        found.append(f"'{at}' is to be an object")
        return
    own = schema.get("properties", {})
    rest = schema.get("additionalProperties")
    for key, item in value.items():
        place = f"{at}.{key}" if at else key
        if key in own:
            _check(item, own[key], schemas, place, answer, found)
        elif rest is not None:
            _check(item, rest, schemas, place, answer, found)
        else:
            found.append(f"Unknown name \"{key}\" at '{at}': Cannot find field.")


def _scalar(value: Any, kind: str, schema: Mapping[str, Any], answer: bool) -> bool:
    form = schema.get("format")
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if form in _RANGES:
        return _integer(value, kind, form, answer)
    if not isinstance(value, str):
        return False
    if "enum" in schema:
        return value in schema["enum"]
    if form == "byte":
        return _base64(value)
    if form in ("date-time", "google-datetime"):
        return _time(value)
    return True


def _integer(value: Any, kind: str, form: str, answer: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return False
    if answer and isinstance(value, str) is not (form in _LONG):
        return False
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return False
    least, most = _RANGES[form]
    return least <= int(value) <= most


def _base64(value: str) -> bool:
    try:
        base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error:
        return False
    return True


def _time(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
