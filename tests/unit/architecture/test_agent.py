"""The agent runs on a bare machine: Python 3.8 and its standard library, nothing else."""

from __future__ import annotations

import ast
import sys

AGENT = "dstack_cloud.machine.agent"


def agent_modules(modules):
    found = [
        module for name, module in modules.items() if name == AGENT or name.startswith(f"{AGENT}.")
    ]
    assert len(found) > 1
    return found


def test_the_standard_library_only(modules):
    foreign = {
        f"{module.name}:{one.line} imports {one.module}"
        for module in agent_modules(modules)
        for one in module.imports
        if one.module.split(".")[0] not in sys.stdlib_module_names
        and not one.module.startswith(AGENT)
    }
    assert foreign == set()


def test_it_imports_itself_by_relative_names(modules):
    """It travels as a package of its own, where dstack_cloud does not exist."""
    for module in agent_modules(modules):
        for node in ast.walk(ast.parse(module.path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith("dstack_cloud") for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert not (node.module or "").startswith("dstack_cloud"), module.name


def test_the_syntax_of_python_3_8(modules):
    for module in agent_modules(modules):
        source = module.path.read_text(encoding="utf-8")
        ast.parse(source, str(module.path), feature_version=(3, 8))
