"""A fast writer of EC2's XML for long lists; moto's own takes milliseconds an instance type.

The response shape is compiled once into nested writers, so a list of a thousand items costs no
more than its text.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import uuid4
from xml.sax.saxutils import escape

from moto_fixtures.aws.answer import Answer

Writer = Callable[[Any, list[str]], None]
_NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return escape(str(value))


def _scalar(name: str) -> Writer:
    head, tail = f"<{name}>", f"</{name}>"

    def write(value: Any, out: list[str]) -> None:
        out.append(f"{head}{_text(value)}{tail}")

    return write


def _compile(shape: Any, name: str, building: dict[str, Writer]) -> Writer:
    if shape.type_name == "structure":
        return _structure(shape, name, building)
    if shape.type_name == "list":
        item = _compile(shape.member, shape.member.serialization.get("name", "item"), building)

        def write(value: Any, out: list[str]) -> None:
            out.append(f"<{name}>")
            for element in value:
                item(element, out)
            out.append(f"</{name}>")

        return write
    return _scalar(name)


def _structure(shape: Any, name: str, building: dict[str, Writer]) -> Writer:
    members = [
        (key, _compile(member, member.serialization.get("name", key), building))
        for key, member in shape.members.items()
    ]

    def write(value: Any, out: list[str]) -> None:
        out.append(f"<{name}>")
        for key, writer in members:
            found = value.get(key)
            if found is not None:
                writer(found, out)
        out.append(f"</{name}>")

    return write


@cache
def _writers(action: str) -> dict[str, tuple[Writer, Writer | None]]:
    """Member of the action's result to its writer, and to that of one item where it is a list."""
    from moto.core.utils import get_service_model

    shape = get_service_model("ec2").operation_model(action).output_shape
    found: dict[str, tuple[Writer, Writer | None]] = {}
    for key, member in shape.members.items():
        name = member.serialization.get("name", key)
        item = None
        if member.type_name == "list":
            item = _compile(member.member, "item", {})
        found[key] = (_compile(member, name, {}), item)
    return found


def item_xml(action: str, member: str, value: dict[str, Any]) -> str:
    """One item of a list of the action's result, to be kept and put together again."""
    writer = _writers(action)[member][1]
    assert writer is not None, f"{action}.{member} is no list"
    out: list[str] = []
    writer(value, out)
    return "".join(out)


def ec2_xml(
    action: str, result: dict[str, Any], ready: dict[str, list[str]] | None = None
) -> Answer:
    """The whole answer; ``ready`` holds lists whose items are written already."""
    out = [f'<{action}Response xmlns="{_NAMESPACE}"><requestId>{uuid4()}</requestId>']
    for key, value in result.items():
        if value is not None:
            _writers(action)[key][0](value, out)
    for key, items in (ready or {}).items():
        wrapper: list[str] = []
        _writers(action)[key][0]([], wrapper)
        out.append(wrapper[0])
        out += items
        out.append(wrapper[-1])
    out.append(f"</{action}Response>")
    return Answer(200, "".join(out).encode(), [("Content-Type", "text/xml;charset=UTF-8")])
