"""The ``filter`` of lists: which resources it lets through. Pure.

Both syntaxes of https://cloud.google.com/compute/docs/reference/rest/v1/instances/list: ``name =
x``, ``labels.a = b``, ``AND``, ``OR``, parentheses; ``name eq REGEX``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from moto_fixtures.gcp.call import GcpError

Item = dict[str, Any]
Test = Callable[[Item], bool]
_TOKEN = re.compile(
    r"""\s*(?:(?P<sign>[()]|!=|<=|>=|=|<|>|:)|(?P<text>"(?:[^"\\]|\\.)*"|'[^']*')"""
    r"""|(?P<word>[^\s()=!<>:"']+))"""
)


def matching(text: str, items: Iterable[Item]) -> list[Item]:
    """The items that a filter lets through; GcpError 400 where it is not one."""
    if not text.strip():
        return list(items)
    test = _Reader(text).whole()
    return [item for item in items if test(item)]


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None:
                raise self._error()
            self._tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            at = found.end()
        self._at = 0

    def whole(self) -> Test:
        test = self._either()
        if self._at != len(self._tokens):
            raise self._error()
        return test

    def _either(self) -> Test:
        tests = [self._both()]
        while self._taken("word", "OR"):
            tests.append(self._both())
        return lambda item: any(test(item) for test in tests)

    def _both(self) -> Test:
        tests = [self._single()]
        while self._at < len(self._tokens):
            if self._taken("word", "AND"):
                tests.append(self._single())
            elif self._tokens[self._at] in (("word", "OR"), ("sign", ")")):
                break
            else:
                tests.append(self._single())
        return lambda item: all(test(item) for test in tests)

    def _single(self) -> Test:
        if self._taken("word", "NOT"):
            test = self._single()
            return lambda item: not test(item)
        if self._taken("sign", "("):
            test = self._either()
            if not self._taken("sign", ")"):
                raise self._error()
            return test
        path = self._next("word")
        sign = self._next("sign", "word")
        value = self._next("word", "text")
        if value[:1] in "\"'":
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        return _test(path, sign, value) or self._fail()

    def _taken(self, kind: str, text: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == (kind, text):
            self._at += 1
            return True
        return False

    def _next(self, *kinds: str) -> str:
        if self._at >= len(self._tokens) or self._tokens[self._at][0] not in kinds:
            raise self._error()
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _fail(self) -> Test:
        raise self._error()

    def _error(self) -> GcpError:
        return GcpError(
            400,
            "invalid",
            f"Invalid value for field 'filter': '{self._text}'. Invalid list filter expression.",
        )


def _test(path: str, sign: str, value: str) -> Test | None:
    if sign in ("=", "eq"):
        return lambda item: any(_same(v, value, sign) for v in _at(item, path))
    if sign in ("!=", "ne"):
        return lambda item: (
            not any(_same(v, value, "=" if sign == "!=" else "eq") for v in _at(item, path))
        )
    if sign == ":":
        return lambda item: any(value == "*" or value in _words(v) for v in _at(item, path))
    if sign in ("<", "<=", ">", ">="):
        order = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}[sign]
        return lambda item: any(_ordered(v, value, order) for v in _at(item, path))
    return None


def _at(item: Any, path: str) -> list[Any]:
    """The values at a dotted path; a list's elements each, and labels with dots whole."""
    if isinstance(item, list):
        return [value for one in item for value in _at(one, path)]
    if not isinstance(item, dict):
        return []
    if path in item:
        found = item[path]
        return found if isinstance(found, list) else [found]
    head, dot, rest = path.partition(".")
    return _at(item.get(head), rest) if dot else []


def _words(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _same(value: Any, wanted: str, sign: str) -> bool:
    """``eq`` takes a regular expression over the whole value; both take a link's last name."""
    text = _words(value)
    if sign == "eq":
        return re.fullmatch(wanted, text) is not None
    if "*" in wanted:
        pattern = ".*".join(map(re.escape, wanted.split("*")))
        return re.fullmatch(pattern, text) is not None
    return text == wanted or (text.startswith("https://") and text.endswith("/" + wanted))


def _ordered(value: Any, wanted: str, order: str) -> bool:
    text = _words(value)
    try:
        one, other = float(text), float(wanted)
        return {"lt": one < other, "le": one <= other, "gt": one > other, "ge": one >= other}[order]
    except ValueError:
        # RFC 3339 times of one form compare as texts.
        return {
            "lt": text < wanted,
            "le": text <= wanted,
            "gt": text > wanted,
            "ge": text >= wanted,
        }[order]
