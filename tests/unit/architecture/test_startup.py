"""What a command loads before it does anything: start-up is a feature."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

# Third-party packages that a part of the product may load together with itself. All others are
# imported where they are used, or by modules that are.
AT_START = {
    "dstack_cloud.cli": {"typer"},
    "dstack_cloud.workflow": {"pydantic"},
    "dstack_cloud_providers": {"pydantic"},
    "dstack_cloud.ssh.library": {"paramiko"},
    "dstack_cloud.clouds.aws": {"boto3", "botocore"},
    "dstack_cloud.storage": {"boto3", "botocore", "obstore"},
}
HEAVY = {
    "boto3",
    "botocore",
    "google",
    "moto",
    "obstore",
    "paramiko",
    "pydantic",
    "tenacity",
    "yaml",
}


def foreign(module: str) -> bool:
    top = module.split(".")[0]
    return top not in sys.stdlib_module_names and not top.startswith("dstack_cloud")


def test_third_party_packages_are_loaded_where_they_are_used(modules):
    surprises = set()
    for name, module in modules.items():
        allowed = {
            package
            for part, packages in AT_START.items()
            if name == part or name.startswith(f"{part}.")
            for package in packages
        }
        surprises |= {
            f"{name}:{one.line} imports {one.module}"
            for one in module.imports
            if one.at_start and foreign(one.module) and one.module.split(".")[0] not in allowed
        }
    assert surprises == set()


def loaded_by(modules, start: str) -> set[str]:
    """All modules that are loaded with ``start``, by the source."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in modules:
            todo += [one.module for one in modules[name].imports if one.at_start]
    return seen


def test_the_command_line_starts_light(modules):
    start = "dstack_cloud.cli.app"
    assert start in modules
    heavy = {name for name in loaded_by(modules, start) if name.split(".")[0] in HEAVY}
    assert heavy == set()


# A run of the real program, with nothing but what it names: which packages were loaded at its end.
PROBE = """
import json, sys
sys.argv[0] = "dstack-cloud"
from dstack_cloud.cli.app import main
try:
    main()
    code = 0
except SystemExit as done:
    code = done.code or 0
loaded = sorted({name.partition(".")[0] for name in sys.modules})
print("\\n" + json.dumps([code, loaded]))
"""


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["--help"], set()),
        (["run", "--help"], set()),
        # The configuration is YAML.
        (["offers", "--gpu", "A100:8", "--limit", "1", "--json"], {"yaml"}),
        (["offers", "--cloud", "gcp", "--gpu", "T4", "--limit", "1", "--json"], {"yaml"}),
        (["ps", "--json"], {"yaml"}),
    ],
)
def test_what_really_is_loaded(tmp_path, arguments, needed):
    config = tmp_path / "config.yaml"
    config.write_text(f"local: {{store: {tmp_path / 'store'}}}\n")
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "LANG")}
    environ = kept | {"HOME": str(tmp_path), "DSTACK_CLOUD_CONFIG": str(config)}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        capture_output=True,
        text=True,
        env=environ,
        timeout=60,
        cwd=tmp_path,
    )
    code, loaded = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    assert HEAVY & set(loaded) <= needed
