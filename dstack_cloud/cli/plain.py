"""Option values that need no conversion, handed on without one.

From release 0.29 typer converts every value with pydantic, which takes 0.09 s to load, as long as
all the rest of the program's start. Texts, flags, counts and what was not given need none of it;
any other value, and any that is wrong, still goes typer's way and gets typer's words.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from typer.core import TyperArgument, TyperOption


def spare_conversions() -> None:
    """Put the short way before typer's own, in this process.

    Where typer has no such step (it is not a documented one), nothing is changed.
    """
    for kind in (TyperOption, TyperArgument):
        typers = getattr(kind, "get_runtime_param", None)
        if typers is not None:
            setattr(kind, "get_runtime_param", _before(typers))  # noqa: B010 - not for mypy


def _before(typers: Any) -> Any:
    return lambda parameter: _Short(parameter.type_descriptor, partial(typers, parameter))


class _Short:
    """A parameter's converter; ``typers`` makes the one that typer would use."""

    def __init__(self, descriptor: Any, typers: Any) -> None:
        self._kind = descriptor.annotation
        self._bounds = descriptor.parameter_info
        self._typers = typers

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value as the verb takes it."""
        if value is None and not _many(param):
            return None
        if value is None:
            return ()
        if self._kind in (str, bool) and type(value) is self._kind:
            return value
        if self._kind is int:
            number = _count(value)
            if number is not None and self._fits(number):
                return number
        if self._kind == list[str] and all(type(one) is str for one in value):
            return list(value)
        return self._typers().coerce(value, param=param, ctx=ctx)

    def _fits(self, number: int) -> bool:
        least, most = self._bounds.min, self._bounds.max
        return (least is None or number >= least) and (most is None or number <= most)


def _many(param: Any) -> bool:
    return bool(getattr(param, "multiple", False)) or param.nargs == -1


def _count(value: Any) -> int | None:
    """The number in plain digits; None for anything else."""
    if type(value) is int:
        return value
    if type(value) is str and value.isascii() and value.isdigit():
        return int(value)
    return None
