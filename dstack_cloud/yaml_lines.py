"""YAML that remembers where everything stands, and how it was written.

Plain scalars are read by YAML 1.2's core schema, not by 1.1's: ``on``, ``yes`` and ``12:30`` are
strings, and so are dates. Keys are always strings, as written. What a value's text was (``3.10``,
``007``) stays at hand, because to a version or an environment variable it matters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from dstack_cloud.errors import InputError

if TYPE_CHECKING:
    import yaml

Path = tuple[str | int, ...]

# https://yaml.org/spec/1.2.2/#103-core-schema
_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_TAGS = {"map", "seq", "str", "int", "float", "bool", "null"}
_TAG_PREFIX = "tag:yaml.org,2002:"
# Aliases may nest so that a small file means an enormous value.
_MOST_NODES = 100_000


class Position(NamedTuple):
    """A place in a file; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Node:
    """One value of a YAML file.

    ``data`` is a mapping of key to Node, a list of Nodes, or a scalar (None, bool, int, float,
    str). ``text`` is a scalar as written, without its quotes; None for mappings and lists.
    ``keys`` tells where each key of a mapping stands.
    """

    data: dict[str, Node] | list[Node] | bool | int | float | str | None
    file: str
    position: Position
    text: str | None = None
    keys: Mapping[str, Position] = field(default_factory=dict)

    def plain(self, as_text: Callable[[Path], bool] | None = None, path: Path = ()) -> Any:
        """Plain dicts, lists and scalars.

        Where ``as_text`` says so of a scalar's path, the scalar is the string it was written as.
        """
        if isinstance(self.data, dict):
            return {key: node.plain(as_text, (*path, key)) for key, node in self.data.items()}
        if isinstance(self.data, list):
            return [node.plain(as_text, (*path, i)) for i, node in enumerate(self.data)]
        return self.text if as_text is not None and as_text(path) else self.data

    def at(self, path: Sequence[str | int]) -> Node:
        """The node at the end of ``path``, or the deepest one on the way that exists.

        A step that is not there is passed over: pydantic's locations hold names of union members.
        """
        node = self
        for step in path:
            if isinstance(node.data, dict) and step in node.data:
                node = node.data[str(step)]
            elif isinstance(node.data, list) and isinstance(step, int) and step < len(node.data):
                node = node.data[step]
        return node

    def where(self, path: Sequence[str | int]) -> Position:
        """Where the value at ``path`` begins (or the deepest one on the way that exists)."""
        return self.at(path).position

    def where_key(self, path: Sequence[str | int]) -> Position:
        """Where the last key of ``path`` stands; for an item of a list, where it begins."""
        keys = self.at(path[:-1]).keys
        return keys.get(str(path[-1])) or self.where(path)

    def error(
        self,
        message: str,
        hint: str | None = None,
        *,
        path: Sequence[str | int] = (),
        key: bool = False,
    ) -> InputError:
        """An InputError that names the place of the value (or ``key``) at ``path``."""
        line, column = self.where_key(path) if key else self.where(path)
        return InputError(message, hint, file=self.file, line=line, column=column)


def load_yaml(text: str, file: str) -> Node:
    """The one document of ``text``; ``file`` is its name in errors. An empty file is a null.

    InputError with file, line and column for bad syntax, a key that is there twice, a tag that
    is not a plain one, and an alias that contains itself.
    """
    import yaml

    try:
        root = yaml.compose(text.removeprefix("\ufeff"), Loader=yaml.SafeLoader)
        return _Builder(file).build(root) if root else Node(None, file, Position(1, 1), "")
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, file) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - before.rfind("\n")
        message = f"the character {error.character!r} cannot be in a YAML file"
        raise InputError(message, file=file, line=line, column=column) from None
    except RecursionError:
        raise InputError("nested too deeply", file=file) from None


def _syntax_error(error: yaml.MarkedYAMLError, file: str) -> InputError:
    mark = error.problem_mark or error.context_mark
    problem = (error.problem or error.context or "not understood").strip()
    problem = problem.replace("'<stream end>'", "the end of the file")
    if "'\\t'" in problem:
        problem, hint = "a tab, where YAML allows spaces only", "indent with spaces"
    elif "mapping values are not allowed" in problem:
        hint = "look for a colon too many, or a wrong indentation; quote a text that holds ': '"
    else:
        hint = "look for a missing quote, colon, bracket or space in this line and the one above"
    return InputError(
        f"not valid YAML: {problem}",
        hint,
        file=file,
        line=mark.line + 1 if mark else None,
        column=mark.column + 1 if mark else None,
    )


class _Builder:
    """Turns PyYAML's nodes into ours."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.open: set[int] = set()
        self.count = 0

    def build(self, node: yaml.Node) -> Node:
        import yaml

        self.count += 1
        if self.count > _MOST_NODES:
            raise self.error(node, "more values than any such file needs (aliases of aliases?)")
        kind = node.tag.removeprefix(_TAG_PREFIX)
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        if id(node) in self.open:
            raise self.error(node, "this alias contains itself")
        if kind not in _TAGS:
            raise self.error(node, f"the tag '{node.tag}' is not supported", "write a plain value")
        self.open.add(id(node))
        try:
            return self.mapping(node) if isinstance(node, yaml.MappingNode) else self.list(node)
        finally:
            self.open.discard(id(node))

    def list(self, node: yaml.Node) -> Node:
        return Node([self.build(item) for item in node.value], self.file, _position(node))

    def mapping(self, node: yaml.MappingNode) -> Node:
        data: dict[str, Node] = {}
        keys: dict[str, Position] = {}
        merged: list[Node] = []
        for key_node, value_node in node.value:
            key = self.key(key_node)
            if key == "<<" and key_node.style is None:
                merged.extend(self.merged(value_node))
                continue
            if key in keys:
                first = keys[key].line
                raise self.error(
                    key_node, f"'{key}' is here twice, first in line {first}", "keep one of them"
                )
            keys[key] = _position(key_node)
            data[key] = self.build(value_node)
        for source in merged:
            assert isinstance(source.data, dict)
            for key, value in source.data.items():
                if key not in data:
                    data[key], keys[key] = value, source.keys[key]
        return Node(data, self.file, _position(node), keys=keys)

    def merged(self, node: yaml.Node) -> Iterator[Node]:
        built = self.build(node)
        for source in built.data if isinstance(built.data, list) else [built]:
            if not isinstance(source.data, dict):
                raise self.error(node, "'<<' takes a mapping, or a list of mappings")
            yield source

    def key(self, node: yaml.Node) -> str:
        import yaml

        if not isinstance(node, yaml.ScalarNode):
            raise self.error(node, "a key must be a plain text")
        return str(node.value)

    def scalar(self, node: yaml.ScalarNode) -> Node:
        text = str(node.value)
        kind = node.tag.removeprefix(_TAG_PREFIX)
        # PyYAML tags what is written bare by 1.1's rules, dates included; only a tag that is
        # not one of its own was asked for by the file.
        if kind not in _TAGS | {"timestamp", "value", "merge"}:
            raise self.error(node, f"the tag '{node.tag}' is not supported", "write a plain value")
        bare = node.style is None
        return Node(_resolve(text) if bare else text, self.file, _position(node), text)

    def error(self, node: yaml.Node, message: str, hint: str | None = None) -> InputError:
        line, column = _position(node)
        return InputError(message, hint, file=self.file, line=line, column=column)


def _position(node: yaml.Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def _resolve(text: str) -> bool | int | float | str | None:
    """A bare scalar by YAML 1.2's core schema."""
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text) and len(text) < 1000:
        return int(text)
    if _OCTAL.fullmatch(text) or _HEX.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL_FLOAT.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text
