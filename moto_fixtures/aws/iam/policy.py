"""Policy evaluation: pure, from policy documents and one needed permission to a decision.

The rules are those of "Policy evaluation logic" and "IAM JSON policy elements: Condition
operators" (docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html,
…/reference_policies_elements_condition_operators.html): an explicit deny wins, then any allow,
else the call is denied.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

Decision = Literal["allow", "explicit deny", "implicit deny"]
Context = Mapping[str, Sequence[str]]
"""Condition key, in lower case, to its values."""


@dataclass(frozen=True)
class Needed:
    """One permission that a call needs: an action on a resource, in a context."""

    action: str
    resource: str = "*"
    context: Context = field(default_factory=dict)


class UnsupportedPolicy(Exception):
    """A policy uses a condition operator that this evaluator does not know."""


@lru_cache(maxsize=4096)
def _pattern(text: str, fold: bool) -> re.Pattern[str]:
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in text)
    return re.compile("".join(parts), re.DOTALL | (re.IGNORECASE if fold else 0))


def like(pattern: str, value: str, fold: bool = False) -> bool:
    """Whether a value matches a pattern with ``*`` and ``?``."""
    return _pattern(pattern, fold).fullmatch(value) is not None


def _arn_like(pattern: str, value: str) -> bool:
    wanted, got = pattern.split(":", 5), value.split(":", 5)
    return len(wanted) == len(got) and all(like(w, g) for w, g in zip(wanted, got, strict=True))


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    def test(wanted: str, got: str) -> bool:
        try:
            return compare(float(got), float(wanted))
        except ValueError:
            return False

    return test


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "stringequals": lambda w, g: w == g,
    "stringequalsignorecase": lambda w, g: w.lower() == g.lower(),
    "stringlike": like,
    "arnequals": _arn_like,
    "arnlike": _arn_like,
    "bool": lambda w, g: w.lower() == g.lower(),
    "numericequals": _number(lambda g, w: g == w),
    "numericlessthan": _number(lambda g, w: g < w),
    "numericlessthanequals": _number(lambda g, w: g <= w),
    "numericgreaterthan": _number(lambda g, w: g > w),
    "numericgreaterthanequals": _number(lambda g, w: g >= w),
}
_NEGATED = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
    "numericnotequals": "numericequals",
}

_VARIABLE = re.compile(r"\$\{([^}]+)\}")


def _substitute(text: str, context: Context) -> str | None:
    """Policy variables filled in; None when one of them has no value (nothing matches then)."""
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        name, _, default = match[1].partition(",")
        if name in ("*", "?", "$"):
            return name
        found = context.get(name.strip().lower())
        if found:
            return found[0]
        if default:
            return default.strip().strip("'")
        missing = True
        return ""

    result = _VARIABLE.sub(value, text)
    return None if missing else result


def _list(value: Any) -> list[str]:
    if value is None:
        return []
    values = value if isinstance(value, list) else [value]
    return [str(v).lower() if isinstance(v, bool) else str(v) for v in values]


def _condition(operator: str, key: str, wanted: list[str], context: Context) -> bool:
    name = operator.lower()
    quantifier = ""
    for prefix in ("forallvalues:", "foranyvalue:"):
        if name.startswith(prefix):
            quantifier, name = prefix[:-1], name[len(prefix) :]
    if_exists = name.endswith("ifexists")
    name = name.removesuffix("ifexists")
    got = list(context.get(key.lower(), ()))
    if name == "null":
        return (not got) == (wanted[0].lower() == "true")
    negated = name in _NEGATED
    test = _OPERATORS.get(_NEGATED.get(name, name))
    if test is None:
        raise UnsupportedPolicy(f"condition operator {operator} is not known to the emulator")
    if not got:
        return if_exists or negated or quantifier == "forallvalues"
    filled = [v for v in (_substitute(w, context) for w in wanted) if v is not None]

    def one(value: str) -> bool:
        return any(test(w, value) for w in filled) != negated

    if quantifier == "foranyvalue":
        return any(one(v) for v in got)
    return all(one(v) for v in got)


def applies(statement: Mapping[str, Any], needed: Needed) -> bool:
    """Whether a statement (of either effect) speaks about the needed permission."""
    if "Action" in statement:
        if not any(like(p, needed.action, fold=True) for p in _list(statement["Action"])):
            return False
    elif any(like(p, needed.action, fold=True) for p in _list(statement.get("NotAction"))):
        return False
    for element, wanted in (("Resource", True), ("NotResource", False)):
        if element in statement:
            filled = (_substitute(p, needed.context) for p in _list(statement[element]))
            if any(p is not None and like(p, needed.resource) for p in filled) != wanted:
                return False
    return all(
        _condition(operator, key, _list(wanted), needed.context)
        for operator, keys in (statement.get("Condition") or {}).items()
        for key, wanted in keys.items()
    )


def statements(policy: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The statements of a document, which may hold one that is not in a list."""
    found = policy.get("Statement", [])
    return list(found) if isinstance(found, list) else [found]


def decide(policies: Iterable[Mapping[str, Any]], needed: Needed) -> Decision:
    """What the policies together say about one needed permission."""
    decision: Decision = "implicit deny"
    for policy in policies:
        for statement in statements(policy):
            if decision == "allow" and statement.get("Effect") != "Deny":
                continue
            if applies(statement, needed):
                if statement.get("Effect") == "Deny":
                    return "explicit deny"
                decision = "allow"
    return decision
