"""Writes a changed configuration back, leaving the rest of the file as its owner wrote it."""

from __future__ import annotations

import json
import os
import re
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dstack_cloud.config import AwsConfig, Config, GcpConfig, parse
from dstack_cloud.errors import InputError, InternalError

if TYPE_CHECKING:
    import yaml

# A text that needs no quotes anywhere, flow lists included, and is not taken for another type.
_BARE = re.compile(r"(?!(?i:true|false|null)$)[A-Za-z/][A-Za-z0-9/._@-]*(?::[A-Za-z0-9/._@-]+)*")

Changes = dict[str, dict[str, Any]]
_NOTHING = {"aws": AwsConfig(), "gcp": GcpConfig()}
Edit = tuple[int, int, str]


def save(config: Config) -> None:
    """Make ``config.file`` say what ``config`` says: atomically, readable by its owner only.

    Comments, order and whatever is not changed stay. InputError when the file that is there
    is not understood, or the folder cannot be written.
    """
    try:
        text = config.file.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise InputError(message, file=str(config.file)) from None
    present = parse(text, config.file, os.environ)
    edited = edit(text, changes(present, config))
    if parse(edited, config.file, os.environ) != config:
        raise InternalError("the configuration file would not say what it should", str(config.file))
    _write(config.file, edited)


def changes(old: Config, new: Config) -> Changes:
    """By section and key, the values to write; None where a key no longer has one."""
    found: Changes = {}
    for section in ("aws", "gcp", "local", "timers"):
        before, after = getattr(old, section), getattr(new, section)
        if after is None or before == after:
            continue
        base = before if before is not None else _NOTHING[section]
        found[section] = {
            item.name: getattr(after, item.name)
            for item in fields(after)
            if getattr(after, item.name) != getattr(base, item.name)
        }
    return found


def edit(text: str, wanted: Changes) -> str:
    """``text`` with the values of ``wanted``, everything else as it was."""
    import yaml

    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode) or not root.value:
        kept = "" if root is not None else text
        return _ended(kept) + "".join(_new_section(*item) for item in wanted.items())
    sections = {key.value: (key, value) for key, value in root.value}
    edits: list[Edit] = []
    appended = ""
    for name, values in wanted.items():
        if name in sections:
            edits += _section_edits(*sections[name], values)
        elif root.flow_style:
            inner = ", ".join(f"{key}: {_render(value)}" for key, value in values.items())
            at = root.start_mark.index + 1
            edits.append((at, at, f"{name}: {{{inner}}}, "))
        else:
            appended += _new_section(name, values)
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return _ended(text) + appended if appended else text


def _section_edits(key: yaml.Node, section: yaml.Node, values: dict[str, Any]) -> list[Edit]:
    import yaml

    if not isinstance(section, yaml.MappingNode) or not section.value:
        lines = "".join(f"\n  {name}: {_render(value)}" for name, value in values.items())
        return [(key.end_mark.index, max(_end(section), key.end_mark.index + 1), f":{lines}")]
    present = {name.value: (name, value) for name, value in section.value}
    edits: list[Edit] = []
    added = ""
    for name, value in values.items():
        if name in present:
            old_key, old = present[name]
            end = max(_end(old), old_key.end_mark.index + 1)
            edits.append((old_key.end_mark.index, end, f": {_render(value)}"))
        elif section.flow_style:
            added += f"{name}: {_render(value)}, "
        else:
            added += f"{name}: {_render(value)}\n{' ' * section.start_mark.column}"
    if added:
        at = section.start_mark.index + (1 if section.flow_style else 0)
        edits.append((at, at, added))
    return edits


def _end(node: yaml.Node) -> int:
    """Where the value's text ends. PyYAML ends a block where the next token begins."""
    import yaml

    if isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _new_section(name: str, values: dict[str, Any]) -> str:
    lines = "".join(f"  {key}: {_render(value)}\n" for key, value in values.items())
    return f"{name}:\n{lines}"


def _render(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}s"
    if isinstance(value, tuple):
        return f"[{', '.join(_render(item) for item in value)}]"
    if _BARE.fullmatch(value):
        return str(value)
    # JSON's double-quoted text is YAML's too, but for its surrogate pairs.
    quoted = json.dumps(value, ensure_ascii=False)
    return re.sub(r"[^ -~]", lambda match: f"\\U{ord(match[0]):08x}", quoted)


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A link (to a folder of dotfiles, say) stays one. mkstemp makes the file 0600.
        target = file.resolve()
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", file=str(file)) from None
