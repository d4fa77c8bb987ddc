"""Rules of the house that hold for every file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PLACES = [
    "dstack_cloud", "providers", "images", "tests", "moto_fixtures", "docs", "bench", "scripts",
    ".ci", ".dstack",
]  # fmt: skip

# Spelled in parts, so that this file passes its own test.
REGISTRIES = [
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "registry.npmjs" + ".org",
    "proxy.golang" + ".org",
    "crates" + ".io",
    "registry-1.docker" + ".io",
    "deb.debian" + ".org",
    "archive.ubuntu" + ".com",
]
MACHINE_PATHS = ["/work/" + "main", "/work/" + "shared", "/work/" + ".", "/tmp/" + "brief"]


def texts() -> Iterator[tuple[str, str]]:
    """Every file of the repository that is a text, with its path."""
    inside = (path for place in PLACES for path in sorted((ROOT / place).rglob("*")))
    for path in (*sorted(ROOT.iterdir()), *inside):
        if not path.is_file() or "__pycache__" in path.parts or path.name == ".coverage":
            continue
        data = path.read_bytes()
        if b"\0" not in data[:8192]:
            yield path.relative_to(ROOT).as_posix(), data.decode("utf-8", errors="replace")


FILES = dict(texts())


def test_the_repository_was_found():
    assert {"pyproject.toml", "README.md", "dstack_cloud/errors.py"} <= FILES.keys()


@pytest.mark.parametrize("text", [*REGISTRIES, *MACHINE_PATHS])
def test_no_file_names(text):
    """Where packages come from, and where this was written, are the user's own affair."""
    assert [path for path, content in FILES.items() if text in content] == []


def test_no_file_is_two_things():
    long = {
        path: count
        for path, content in FILES.items()
        if path.endswith((".py", ".sh")) or "/" not in path.removeprefix("scripts/")
        if (count := content.count("\n")) > 400 and path != "scripts/constraints.txt"
    }
    assert long == {}


def test_only_two_packages_land_at_the_user():
    """Nothing called providers, images or tests may turn up among someone's packages."""
    import tomllib

    project = tomllib.loads(FILES["pyproject.toml"])
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel == {"packages": ["dstack_cloud", "providers/dstack_cloud_providers"]}
