"""Conditions of bindings: the part of CEL that IAM takes, as far as policies here use it. Pure.

https://cloud.google.com/iam/docs/conditions-attribute-reference
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from moto_fixtures.gcp.call import GcpError

Value = str | bool | datetime
Attributes = Mapping[str, Value]
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<word>[A-Za-z_][\w.]*)"""
    r"""|(?P<sign>&&|\|\||==|!=|<=|>=|[!<>(),.]))"""
)
_COMPARE: dict[str, Callable[[Value, Value], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: _time(a) < _time(b),
    "<=": lambda a, b: _time(a) <= _time(b),
    ">": lambda a, b: _time(a) > _time(b),
    ">=": lambda a, b: _time(a) >= _time(b),
}


def holds(expression: str, attributes: Attributes) -> bool:
    """Whether a condition holds; an attribute that a resource lacks makes it false.

    GcpError 400 where the expression is not one that is understood here.
    """
    return _Reader(expression, attributes).whole()


def check(expression: str) -> None:
    """GcpError 400 where a condition is not understood."""
    holds(expression, {})


class _Reader:
    """Recursive descent over the tokens; evaluates as it reads."""

    def __init__(self, expression: str, attributes: Attributes) -> None:
        self._expression = expression
        self._attributes = attributes
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while expression[at:].strip():
            found = _TOKEN.match(expression, at)
            if found is None:
                raise self._error()
            kind = str(found.lastgroup)
            self._tokens.append((kind, found[kind]))
            at = found.end()
        self._at = 0

    def whole(self) -> bool:
        value = self._either()
        if self._at != len(self._tokens) or not isinstance(value, bool):
            raise self._error()
        return value

    def _either(self) -> Value:
        value = self._both()
        while self._taken("||"):
            other = self._both()
            value = value is True or other is True
        return value

    def _both(self) -> Value:
        value = self._compared()
        while self._taken("&&"):
            other = self._compared()
            value = value is True and other is True
        return value

    def _compared(self) -> Value:
        value = self._single()
        for sign, compare in _COMPARE.items():
            if self._taken(sign):
                return compare(value, self._single())
        return value

    def _single(self) -> Value:
        if self._taken("!"):
            return self._single() is not True
        if self._taken("("):
            value = self._either()
            self._need(")")
        else:
            kind, text = self._next()
            if kind == "text":
                value = _unquoted(text)
            elif kind == "word":
                value = self._word(text)
            else:
                raise self._error()
        while self._taken("."):
            kind, name = self._next()
            if kind != "word":
                raise self._error()
            value = self._called(value, name)
        return value

    def _word(self, text: str) -> Value:
        if text in ("true", "false"):
            return text == "true"
        if text == "timestamp":
            self._need("(")
            kind, moment = self._next()
            self._need(")")
            if kind != "text":
                raise self._error()
            return datetime.fromisoformat(_unquoted(moment))
        name, _, function = text.rpartition(".")
        if function in ("startsWith", "endsWith", "contains", "extract"):
            return self._called(self._attribute(name), function)
        return self._attribute(text)

    def _attribute(self, name: str) -> Value:
        if name == "request.time":
            return self._attributes.get(name, datetime.min)
        if name not in ("resource.name", "resource.type", "resource.service"):
            raise self._error()
        return self._attributes.get(name, "")

    def _called(self, value: Value, function: str) -> Value:
        self._need("(")
        kind, text = self._next()
        self._need(")")
        if kind != "text" or not isinstance(value, str):
            raise self._error()
        word = _unquoted(text)
        if function == "startsWith":
            return bool(word) and value.startswith(word)
        if function == "endsWith":
            return bool(word) and value.endswith(word)
        if function == "contains":
            return word in value
        if function == "extract":
            return _extract(value, word)
        raise self._error()

    def _taken(self, sign: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == ("sign", sign):
            self._at += 1
            return True
        return False

    def _need(self, sign: str) -> None:
        if not self._taken(sign):
            raise self._error()

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise self._error()
        self._at += 1
        return self._tokens[self._at - 1]

    def _error(self) -> GcpError:
        return GcpError(
            400, "invalid", f"Request contains an invalid argument: condition {self._expression!r}"
        )


def _extract(value: str, template: str) -> str:
    """``extract("/instances/{name}")``: what stands in the braces' place, or nothing."""
    before, brace, rest = template.partition("{")
    _, _, after = rest.partition("}")
    start = value.find(before)
    if not brace or start < 0:
        return ""
    found = value[start + len(before) :]
    if not after:
        return found
    end = found.find(after)
    return found[:end] if end >= 0 else ""


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _time(value: Value) -> datetime:
    if not isinstance(value, datetime):
        raise GcpError(400, "invalid", "only times are ordered in a condition")
    return value
