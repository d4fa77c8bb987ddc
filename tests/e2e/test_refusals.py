"""What a provider, a plugin, a requirements file or a name that is taken gets wrong, on this
machine: message, exit code, and nothing left."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.emulated import Project
from support.local import rows

from moto_fixtures.machine import images

LOCAL = ("--cloud", "local", "-y")


def workflow(provider: str, *keys: str) -> str:
    lines = ["workflows:", "  - name: job", f"    provider: {provider}"]
    return "\n".join([*lines, *(f"    {key}" for key in keys)]) + "\n"


@pytest.fixture
def plugins(local: Project) -> Path:
    folder = local.folder / ".dstack/providers"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (workflow("bash"), ["workflows.yaml:2:5", "'commands' is missing in workflow 'job'"]),
        (
            workflow("bash", "commands: [a]", "comands: [b]"),
            ["workflows.yaml:5:5", "unknown key 'comands'", "did you mean 'commands'?"],
        ),
        (workflow("mine", "size: 1"), ["mine.py:9", "failed: RuntimeError: it broke"]),
        (workflow("broken"), ["broken.py:1", "failed: SyntaxError"]),
        (workflow("mien"), ["unknown provider 'mien'; did you mean 'mine'?"]),
    ],
)
def test_a_provider_that_cannot_go_on(
    local: Project, plugins: Path, text: str, words: list[str]
) -> None:
    (plugins / "mine.py").write_text(
        "from pydantic import BaseModel\n\n\nclass Properties(BaseModel):\n    size: str\n\n\n"
        "def container(properties, context):\n    raise RuntimeError('it broke')\n"
    )
    (plugins / "broken.py").write_text("def (:\n")
    local.workflows(text)
    refused = local.cli("run", "job", *LOCAL)
    assert refused.returncode == 2, refused.stderr
    assert "Traceback" not in refused.stderr
    for one in words:
        assert one in refused.stderr
    assert rows(local) == []


def test_requirements_that_cannot_be_installed(local: Project) -> None:
    image = images.ensure().conda
    keys = (f"image: {image}", "file: job.py", "requirements: requirements.txt")
    local.workflows(workflow("python", *keys))
    (local.folder / "job.py").write_text("print('never')\n")
    (local.folder / "requirements.txt").write_text("not a requirement ===\n")
    failed = local.cli("run", "job", *LOCAL)
    assert failed.returncode == 1, failed.stderr
    assert "nvalid requirement" in failed.stdout + failed.stderr
    assert "never" not in failed.stdout
    assert [row["state"] for row in rows(local)] == ["failed"]


def test_names_that_are_taken_or_not_there(local: Project, image: str) -> None:
    local.workflows(
        workflow("docker", f"image: {image}", "commands: [mkdir out, echo 1 > out/a]")
        + "    artifacts: [out]\n"
        + workflow("docker", f"image: {image}", "commands: [cat out/a]", 'deps: [":best"]')
        .partition("\n")[2]
        .replace("job", "next")
    )
    assert local.cli("run", "job", *LOCAL).returncode == 0
    absent = local.cli("run", "next", *LOCAL)
    assert absent.returncode == 64
    assert "best" in absent.stderr
    assert local.cli("tags", "add", "best", "job-1").returncode == 0
    taken = local.cli("tags", "add", "best", "job-1")
    assert taken.returncode == 2
    assert "there is a tag 'best' already" in taken.stderr
    assert local.cli("run", "next", *LOCAL).stdout == "1\n"
