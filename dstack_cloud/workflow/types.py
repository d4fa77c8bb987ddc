"""The kinds of values in a workflow file.

Every scalar arrives here as the text it was written as, so that nothing is lost or guessed on the
way (``3.10``, ``on``, ``0755``); each kind reads its own text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import BeforeValidator

from dstack_cloud.state.keys import TAG_NAME, TAG_NAME_WORDS
from dstack_cloud.units import parse_duration, parse_money, parse_size


class InsideError(ValueError):
    """A problem of one part of a value: ``path`` leads from the value to the part."""

    def __init__(self, message: str, *path: str | int) -> None:
        super().__init__(message)
        self.path = path


def text_of(value: Any, what: str) -> str:
    """``value`` if it is a scalar's text. ValueError otherwise."""
    if isinstance(value, str):
        return value
    raise ValueError(f"must be {what}, not {kind_of(value)}")


def kind_of(value: Any) -> str:
    """What a value is, in the words of a YAML file."""
    if value is None:
        return "empty"
    return (
        "a list"
        if isinstance(value, list)
        else "a mapping"
        if isinstance(value, dict)
        else (f"'{value}'")
    )


def _reads(parse: Callable[[str], Any], what: str) -> BeforeValidator:
    """A validator that parses a scalar's text; None and what is parsed already pass."""

    def read(value: Any) -> Any:
        return parse(text_of(value, what)) if isinstance(value, str | list | dict) else value

    return BeforeValidator(read)


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise ValueError(f"must be a whole number of at least 1, not '{text}'")
    return int(text)


def _flag(text: str) -> bool:
    # YAML 1.1's spellings as well: people know them, and here nothing else can be meant.
    flag = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    if text.lower() not in flag:
        raise ValueError(f"must be true or false, not '{text}'")
    return flag[text.lower()]


def _size(text: str) -> int:
    size = parse_size(text)
    # A bare number is bytes to the parser; as a machine's memory it is a slip of the pen.
    if size < 1 << 20:
        raise ValueError(f"'{text}' is less than 1 MB; write a unit, like 16GB")
    return size


def _duration(text: str) -> int:
    seconds = parse_duration(text)
    if seconds < 1:
        raise ValueError(f"'{text}' is less than a second")
    return seconds


def _grace(text: str) -> int:
    return parse_duration(text)


def _money(text: str) -> Decimal:
    money = parse_money(text)
    if not money:
        raise ValueError("must be more than 0 USD")
    return money


def _fallback(text: str) -> str:
    if text != "on-demand":
        raise ValueError(f"must be on-demand, not '{text}'")
    return text


def _name(text: str) -> str:
    # A run is called <workflow>-<n>, which becomes a host's, a container's and an object's name.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,49}", text):
        raise ValueError(
            f"'{text}' cannot be a name; use up to 50 letters, digits, '-' and '_', "
            "a letter or digit first"
        )
    return text


def _tag(text: str) -> str:
    if TAG_NAME.fullmatch(text) is None:
        raise ValueError(f"'{text}' cannot be a tag; use {TAG_NAME_WORDS}")
    return text


def _version(text: str) -> str:
    if not re.fullmatch(r"[0-9]+\.[0-9]+(\.[0-9]+)?", text):
        raise ValueError(f"'{text}' is not a version of Python; write it like 3.10")
    return text


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError(f"'{text}' is not a port; write a number from 1 to 65535")
    return int(text)


def _below(text: str) -> str:
    """A relative path that stays below the folder it is relative to, in its plainest form."""
    path = PurePosixPath(text)
    if any(ord(char) < 32 for char in text) or "\\" in text:
        raise ValueError("a path cannot hold control characters or backslashes")
    if path.is_absolute():
        raise ValueError(f"'{text}' must be relative to the working directory")
    if ".." in path.parts:
        raise ValueError(f"'{text}' leaves the working directory; '..' is not allowed")
    return str(path)


def _artifact_path(text: str) -> str:
    path = _below(text)
    if path == ".":
        raise ValueError("name a folder inside of the working directory, not all of it")
    return path


def _working_dir(text: str) -> str:
    inside = PurePosixPath(text)
    if inside.is_absolute():
        if not inside.is_relative_to("/workflow"):
            raise ValueError(f"'{text}' must be a folder of the repository, like src")
        text = str(inside.relative_to("/workflow"))
    return _below(text)


Count = Annotated[int, _reads(_count, "a whole number")]
Flag = Annotated[bool, _reads(_flag, "true or false")]
Size = Annotated[int, _reads(_size, "a size like 16GB")]
Duration = Annotated[int, _reads(_duration, "a duration like 30m")]
Grace = Annotated[int, _reads(_grace, "a duration like 30s")]
Money = Annotated[Decimal, _reads(_money, "an amount of USD like 1.50")]
Fallback = Annotated[str, _reads(_fallback, "on-demand")]
Name = Annotated[str, _reads(_name, "a name")]
Tag = Annotated[str, _reads(_tag, "a tag")]
Version = Annotated[str, _reads(_version, "a version like 3.10")]
Port = Annotated[int, _reads(_port, "a port")]
RelativePath = Annotated[str, _reads(_below, "a path")]
ArtifactPath = Annotated[str, _reads(_artifact_path, "a path")]
WorkingDir = Annotated[str, _reads(_working_dir, "a path")]
