"""The short way of option values answers what typer's own way does, or leaves it to that."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Annotated, Any

import pytest
import typer
from typer.core import TyperArgument, TyperOption
from typer.main import get_command

from dstack_cloud.cli.plain import _Short

TYPERS = {
    kind: inspect.getattr_static(kind, "get_runtime_param") for kind in (TyperOption, TyperArgument)
}
VALUES = [None, "", "x", " 8", "8", "08", "+8", "-8", "8.0", "1_0", "٨", "0", 5, 0, True, False]
LISTS = [None, (), ("a",), ("a", "b"), ["1"]]


def command() -> Any:
    app = typer.Typer()

    @app.command()
    def verb(
        words: Annotated[list[str] | None, typer.Argument()] = None,
        text: Annotated[str | None, typer.Option()] = None,
        flag: Annotated[bool | None, typer.Option("--flag/--no-flag")] = None,
        count: Annotated[int | None, typer.Option()] = None,
        least: Annotated[int | None, typer.Option(min=1)] = None,
        most: Annotated[int | None, typer.Option(max=4)] = None,
        share: Annotated[float | None, typer.Option()] = None,
        many: Annotated[list[str] | None, typer.Option()] = None,
    ) -> None:
        """Each kind that a value can be of."""

    return get_command(app)


def outcome(convert: Any, value: Any, parameter: Any, context: Any) -> Any:
    try:
        return convert(value, param=parameter, ctx=context)
    except typer.BadParameter as error:
        return f"refused: {error.message}"


@pytest.mark.parametrize(
    "name", ["words", "text", "flag", "count", "least", "most", "share", "many"]
)
def test_it_is_as_typers(name):
    verb = command()
    parameter = next(one for one in verb.params if one.name == name)
    context = typer.Context(verb)
    typers = partial(TYPERS[type(parameter)], parameter)
    short = _Short(parameter.type_descriptor, typers)
    for value in LISTS if name in ("words", "many") else VALUES:
        ours = outcome(short.coerce, value, parameter, context)
        theirs = outcome(typers().coerce, value, parameter, context)
        assert (ours, type(ours)) == (theirs, type(theirs)), value
