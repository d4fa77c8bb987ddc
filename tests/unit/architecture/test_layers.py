"""Imports run downward only, and never in a circle."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter

import pytest

# From the top down: a module imports from its own layer and from those below it. A name stands
# for the module and for all in it; the longest one that fits counts.
LAYERS = [
    ["cli", "__main__"],
    ["tools_of_run", "stores_of", "images_of"],
    ["today"],
    ["wiring"],
    ["clouds", "storage", "lifecycle", "schedule"],
    ["state", "match", "ranking", "rates", "cost", "retry", "ssh", "machine", "workflow"],
    ["secret_manager", "machine_images"],
    ["clouds.base", "storage.base", "catalog", "config", "config_save"],
    ["resources", "spec", "deadline", "transfer"],
    ["google_rest"],
    ["units", "nearest", "google_sign_in", "yaml_lines", "ahead", "apart", "availability"],
    ["errors"],
]
LAYER_OF = {f"dstack_cloud.{name}": i for i, layer in enumerate(LAYERS) for name in layer}
# What concrete clouds have in common.
CLOUD_SEAMS = ([], ["base"], ["address"], ["check_line"], ["pace"])
AGENT = "dstack_cloud.machine.agent"
PROVIDERS = "dstack_cloud_providers"


def part_of(module: str) -> str | None:
    """The name in `LAYERS` that stands for a module."""
    while module not in LAYER_OF and "." in module:
        module = module.rpartition(".")[0]
    return module if module in LAYER_OF else None


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def ours(module: str) -> bool:
    return within(module, "dstack_cloud") or within(module, PROVIDERS)


def test_every_module_has_a_layer(modules):
    homeless = {
        name for name in modules if within(name, "dstack_cloud") and part_of(name) is None
    } - {"dstack_cloud"}
    assert homeless == set()


def test_imports_run_downward(modules):
    upward = [
        f"{name}:{one.line} imports {one.module}"
        for name, module in modules.items()
        for one in module.imports
        if (above := part_of(name)) and (below := part_of(one.module))
        if LAYER_OF[above] > LAYER_OF[below]
    ]
    assert upward == []


def test_no_circle(modules):
    graph = {
        name: {one.module for one in module.imports if ours(one.module) and one.module != name}
        for name, module in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")


def test_only_wiring_knows_concrete_clouds_and_stores(modules):
    def concrete(module: str) -> str | None:
        """The cloud, or the store's package, that a module belongs to; None for the seams."""
        parts = module.split(".")
        if parts[:2] == ["dstack_cloud", "clouds"] and parts[2:3] not in CLOUD_SEAMS:
            return parts[2]
        if parts[:2] == ["dstack_cloud", "storage"] and parts[2:3] not in ([], ["base"]):
            return "storage"
        return None

    knowing = {
        (name, one.module, one.at_start)
        for name, module in modules.items()
        for one in module.imports
        if concrete(one.module) and concrete(one.module) != concrete(name)
    }
    assert {name for name, _, _ in knowing} <= {"dstack_cloud.wiring"}
    assert not any(at_start for _, _, at_start in knowing), "wiring imports them when used"
    assert knowing, "nobody picks a cloud: this test looks in the wrong place"


# The life of a run, what is on record of it, and the verbs: the same on every cloud.
NAMELESS = ("dstack_cloud.lifecycle", "dstack_cloud.state", "dstack_cloud.cli")
# It takes other options for each cloud.
NAMES_CLOUDS = {"dstack_cloud.cli.init"}


def test_no_verb_and_no_step_of_a_run_names_a_cloud(modules):
    """Neither compared with, nor taken from the configuration: ``"aws"``, ``config.aws``."""
    named = [
        f"{name}:{node.lineno}"
        for name, module in modules.items()
        if name.startswith(NAMELESS) and name not in NAMES_CLOUDS
        for node in ast.walk(ast.parse(module.path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Constant) and node.value in ("aws", "gcp"))
        or (isinstance(node, ast.Attribute) and node.attr in ("aws", "gcp"))
    ]
    assert named == []


def test_providers_know_the_spec_and_the_errors_only(modules):
    allowed = {"dstack_cloud.spec", "dstack_cloud.errors"}
    used = {
        one.module
        for name, module in modules.items()
        if within(name, PROVIDERS)
        for one in module.imports
        if within(one.module, "dstack_cloud")
    }
    assert used == allowed


def test_nobody_but_the_table_names_a_provider(modules):
    users = {
        name
        for name, module in modules.items()
        for one in module.imports
        if within(one.module, PROVIDERS) and not within(name, PROVIDERS)
    }
    assert users == set()


def test_the_product_does_not_know_the_emulated_clouds(modules):
    users = {
        name
        for name, module in modules.items()
        for one in module.imports
        if one.module.split(".")[0] in ("moto", "moto_fixtures", "tests")
    }
    assert users == set()
