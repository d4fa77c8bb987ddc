"""The modules of the product and what each imports, read from their source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Import:
    """One imported module. ``at_start``: when its importer is loaded; not in a function, nor for
    the type checker only."""

    module: str
    line: int
    at_start: bool


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    imports: tuple[Import, ...]


def _statements(tree: ast.AST, at_start: bool = True) -> Iterator[tuple[ast.stmt, bool]]:
    for node in ast.iter_child_nodes(tree):
        inside = at_start and not isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
        )
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            inside = False
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, inside
        yield from _statements(node, inside)


def _read(path: Path, name: str, known: set[str]) -> Module:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node, at_start in _statements(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            assert isinstance(node, ast.ImportFrom)
            base = node.module or ""
            if node.level:
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*up, *filter(None, [base])])
            inner = [f"{base}.{alias.name}" for alias in node.names]
            names = [one if one in known else base for one in inner]
        found += [Import(one, node.lineno, at_start) for one in dict.fromkeys(names)]
    return Module(name, path, tuple(found))


def _name(path: Path, base: Path) -> str:
    parts = path.relative_to(base).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.fixture(scope="session")
def modules() -> dict[str, Module]:
    """Every module of the two packages that are shipped, by its dotted name."""
    paths = {
        _name(path, base): path
        for base, package in (
            (ROOT, "dstack_cloud"),
            (ROOT / "providers", "dstack_cloud_providers"),
        )
        for path in sorted((base / package).rglob("*.py"))
    }
    return {name: _read(path, name, set(paths)) for name, path in paths.items()}


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT
